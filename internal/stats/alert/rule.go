package alert

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// Metric is what a rule looks at.
type Metric string

// The latencies are in seconds: Mean, the quantiles P50 to P99, and Max.
const (
	Availability Metric = "availability" // percent of the calls that succeeded
	Rate         Metric = "rate"         // calls a second
	Failures     Metric = "failures"     // failed calls a second
	NoData       Metric = "no_data"      // there are no calls; it has no threshold
	Mean         Metric = "mean"
	P50          Metric = "p50"
	P90          Metric = "p90"
	P95          Metric = "p95"
	P99          Metric = "p99"
	Max          Metric = "max"
)

var metrics = []Metric{Availability, Rate, Failures, NoData, Mean, P50, P90, P95, P99, Max}

// Where a rule is from.
const (
	FromFile = "file"
	FromPage = "page"
)

const (
	maxName   = 100 // bytes of the name of a rule or a webhook
	maxFilter = 255 // bytes of a module or an interface
	minWindow = time.Minute
	maxWindow = 24 * time.Hour
)

// Seconds is a duration: a number of seconds in JSON, and a text such as 5m in YAML.
type Seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%g", time.Duration(s).Seconds()), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var n float64
	if _, err := fmt.Sscanf(string(b), "%g", &n); err != nil || n < 0 || n > 1e7 {
		return fmt.Errorf("%s: must be a number of seconds", b)
	}
	*s = Seconds(n * float64(time.Second))
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Seconds) UnmarshalYAML(n *yaml.Node) error {
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < 0 {
		return fmt.Errorf("line %d: %q: must be a time with a unit, as 90s or 5m", n.Line, n.Value)
	}
	*s = Seconds(d)
	return nil
}

// Rule says when an alert fires. A zero field has its default, but Name, Metric and the threshold
// are required.
type Rule struct {
	Name string `json:"name" yaml:"name"`
	// Module and Interface are what it is about. An empty one means each that has calls, by itself.
	Module    string `json:"module" yaml:"module"`
	Interface string `json:"interface" yaml:"interface"`
	Metric    Metric `json:"metric" yaml:"metric"`
	// The alert fires above or below the threshold. Exactly one is set, and none for NoData.
	Above *float64 `json:"above" yaml:"above"`
	Below *float64 `json:"below" yaml:"below"`
	// Clear is the value past which the alert ends. Defaults to a tenth better than the threshold;
	// for an availability, a tenth of what it lacks to 100.
	Clear *float64 `json:"clear" yaml:"clear"`
	// Window is the time whose calls count, in whole minutes, within a minute and 24 hours. Defaults
	// to 5 minutes.
	Window Seconds `json:"window" yaml:"window"`
	// For is how long the condition holds before the alert fires. Defaults to 0.
	For Seconds `json:"for" yaml:"for"`
	// MinCount is how many calls the window needs: with fewer, an availability or a latency says
	// nothing. Defaults to 1.
	MinCount uint64 `json:"min_count" yaml:"min_count"`
	// Severity is any word; webhooks get it. Defaults to "warning".
	Severity string `json:"severity" yaml:"severity"`
	// Webhooks are the names of those that are told. Empty means all.
	Webhooks []string `json:"webhooks" yaml:"webhooks"` // bound: none, maxWebhooks
	// Repeat is when they are told again while the alert fires. Defaults to 4 hours.
	Repeat Seconds `json:"repeat" yaml:"repeat"`
	// Source is FromFile or FromPage.
	Source string `json:"source" yaml:"-"`
}

// checkWith sets the defaults, and returns why the rule is not possible with the webhooks.
func (r *Rule) checkWith(hooks []Webhook) error {
	if err := r.check(); err != nil {
		return err
	}
	return r.checkWebhooks(hooks)
}

// check does so without the webhooks.
func (r *Rule) check() error {
	r.setDefaults()
	switch {
	case !isName(r.Name):
		return fmt.Errorf("name: must be 1 to %d bytes of visible characters, without /", maxName)
	case len(r.Module) > maxFilter || len(r.Interface) > maxFilter:
		return fmt.Errorf("module and interface: must have at most %d bytes", maxFilter)
	case !slices.Contains(metrics, r.Metric):
		return fmt.Errorf("metric: %q: must be one of %s", r.Metric, words(metrics))
	case time.Duration(r.Window) < minWindow || time.Duration(r.Window) > maxWindow ||
		time.Duration(r.Window)%time.Minute != 0:
		return errors.New("window: must be whole minutes between 1 minute and 24 hours")
	case time.Duration(r.For) > maxWindow:
		return errors.New("for: must be at most 24 hours")
	case time.Duration(r.Repeat) < minWindow:
		return errors.New("repeat: must be at least a minute")
	case !isName(r.Severity):
		return fmt.Errorf("severity: must be 1 to %d bytes of visible characters, without /", maxName)
	}
	return r.checkThreshold()
}

// checkWebhooks returns which webhook of the rule is not there.
func (r *Rule) checkWebhooks(hooks []Webhook) error {
	for _, name := range r.Webhooks {
		if !slices.ContainsFunc(hooks, func(h Webhook) bool { return h.Name == name }) {
			return fmt.Errorf("webhooks: there is no webhook %q", name)
		}
	}
	return nil
}

func (r *Rule) setDefaults() {
	if r.Window == 0 {
		r.Window = Seconds(5 * time.Minute)
	}
	if r.Repeat == 0 {
		r.Repeat = Seconds(4 * time.Hour)
	}
	if r.Severity == "" {
		r.Severity = "warning"
	}
	r.MinCount = max(r.MinCount, 1)
	if r.Webhooks == nil {
		r.Webhooks = []string{} // a list in JSON
	}
	if r.Clear != nil {
		return
	}
	switch {
	case r.Above != nil:
		r.Clear = new(*r.Above * 0.9)
	case r.Below != nil && r.Metric == Availability:
		r.Clear = new(*r.Below + (100-*r.Below)/10)
	case r.Below != nil:
		r.Clear = new(*r.Below * 1.1)
	}
}

func (r *Rule) checkThreshold() error {
	if r.Metric == NoData {
		if r.Above != nil || r.Below != nil || r.Clear != nil {
			return errors.New("no_data: has no above, below and clear")
		}
		return nil
	}
	if (r.Above == nil) == (r.Below == nil) {
		return errors.New("exactly one of above and below must be set")
	}
	threshold := r.threshold()
	possible := func(v float64) bool { return v >= 0 && v <= 1e12 } // not NaN
	switch {
	case !possible(threshold) || !possible(*r.Clear):
		return errors.New("above, below and clear: must be numbers between 0 and 1e12")
	case r.Metric == Availability && (threshold > 100 || *r.Clear > 100):
		return errors.New("availability: is a percentage, at most 100")
	case r.Above != nil && *r.Clear > threshold, r.Below != nil && *r.Clear < threshold:
		return errors.New("clear: must be better than the threshold, or the same")
	}
	return nil
}

func (r *Rule) threshold() float64 {
	if r.Above != nil {
		return *r.Above
	}
	return *r.Below
}

// isName reports whether s can be a name.
func isName(s string) bool {
	hidden := func(c rune) bool { return !unicode.IsPrint(c) || c == '/' }
	return s != "" && len(s) <= maxName && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, hidden)
}

func words(all []Metric) string {
	list := make([]string, len(all))
	for i, m := range all {
		list[i] = string(m)
	}
	return strings.Join(list, ", ")
}

// value is what a metric is, for calls in a time. It says nothing if known is false.
func (r *Rule) value(calls *keep.Calls, in time.Duration) (v float64, known bool) {
	failed := calls.Count - calls.Success
	switch r.Metric {
	case NoData:
		return float64(calls.Count), true
	case Rate:
		return float64(calls.Count) / in.Seconds(), true
	case Failures:
		return float64(failed) / in.Seconds(), true
	case Availability:
		return 100 * float64(calls.Success) / float64(max(calls.Count, 1)), calls.Count >= r.MinCount
	}
	latency := map[Metric]time.Duration{
		Mean: calls.Mean, P50: calls.P50, P90: calls.P90, P95: calls.P95, P99: calls.P99, Max: calls.Max,
	}
	return latency[r.Metric].Seconds(), calls.Count >= r.MinCount
}

// holds reports whether the condition holds, and over whether an alert that fires ends. Between the
// two nothing changes.
func (r *Rule) holds(v float64) (holds, over bool) {
	switch {
	case r.Metric == NoData:
		return v == 0, v > 0
	case r.Above != nil:
		return v > *r.Above, v <= *r.Clear
	}
	return v < *r.Below, v >= *r.Clear
}

// unit is that of the metric, for people.
func (r *Rule) unit() string {
	switch r.Metric {
	case NoData:
		return ""
	case Availability:
		return "%"
	case Rate, Failures:
		return "/s"
	}
	return "s"
}

// number is a number as it was written.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// text says what is wrong.
func (r *Rule) text(v float64) string {
	than := "above"
	if r.Below != nil {
		than = "below"
	}
	switch r.Metric {
	case NoData:
		return fmt.Sprintf("no calls in %v", time.Duration(r.Window))
	case Availability:
		v = math.Floor(v*1e4) / 1e4 // only all calls are 100 %
		return fmt.Sprintf("availability %s %% is %s %s %%", number(v), than, number(r.threshold()))
	case Rate:
		return fmt.Sprintf("%.6g calls a second are %s %s", v, than, number(r.threshold()))
	case Failures:
		return fmt.Sprintf("%.6g failures a second are %s %s", v, than, number(r.threshold()))
	}
	seconds := func(v float64) time.Duration { return time.Duration(v * float64(time.Second)).Round(time.Microsecond) }
	return fmt.Sprintf("latency %s %v is %s %v", r.Metric, seconds(v), than, seconds(r.threshold()))
}
