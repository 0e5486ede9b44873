package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// Errors of PutRule, DeleteRule, Silence and EndSilence.
var (
	ErrInvalid  = errors.New("alert: invalid")
	ErrFromFile = errors.New("alert: the rule is in the file")
	ErrNone     = errors.New("alert: there is none")
	ErrTooMany  = errors.New("alert: too many")
)

const (
	checkEvery   = 10 * time.Second
	settle       = 5 * time.Second // after a minute, until its reports have come
	maxAlerts    = 1000            // pending and firing
	maxRecent    = 50
	maxSilences  = 200
	maxComment   = 500 // bytes
	maxSilence   = 366 * 24 * time.Hour
	queryTimeout = 5 * time.Second
)

// Config configures Alerts. Keeper is required.
type Config struct {
	Keeper *keep.Keeper
	// File has rules and webhooks. Nil: there are none.
	File *File
	// State is the path of the file where rules of PutRule, silences and alerts are kept. Empty: they
	// are in memory only.
	State string
	// Logger is the log. Defaults to slog.Default().
	Logger *slog.Logger
}

// Alerts checks the rules. Any goroutine may call its methods.
type Alerts struct {
	// Static after New.
	cfg     Config
	started time.Time

	saving  sync.Mutex         // held while the state is written, before mu
	mu      sync.Mutex         // never held during input or output
	file    *File              // guarded by mu
	rules   []Rule             // guarded by mu: of PutRule, in the order of their names; bound: none, maxRules
	firing  map[subject]*Alert // guarded by mu: pending and firing; bound: none, maxAlerts
	recent  []Alert            // guarded by mu: that have ended, the newest one first; bound: none, maxRecent
	silence []Silence          // guarded by mu: the first to end first; bound: none, maxSilences
	senders []*sender          // guarded by mu: one for each webhook; bound: none, maxWebhooks
	checked time.Time          // guarded by mu
	figures Stats              // guarded by mu
	serial  uint64             // guarded by mu: of the last silence
	dirty   bool               // guarded by mu: the state differs from the file
	unsent  int                // guarded by mu: notifications in the file
	told    complaints         // guarded by mu
}

// Stats are the figures of Alerts: the first two are present values, the others count since New.
type Stats struct {
	Pending, Firing int
	Fired           uint64 // alerts
	Dropped         uint64 // alerts that were not made, because there are too many
	CheckErrors     uint64 // rules that could not be checked
	SaveErrors      uint64
	Sent            uint64 // requests that a webhook has taken
	Failed          uint64 // requests that failed; those that are tried again count each time
	Lost            uint64 // notifications that were given up
}

// complaints are what the log was told of and still holds, so that it is told once.
type complaints struct{ checks, saves, full bool }

// subject is what an alert is about.
type subject struct{ rule, module, iface string }

// Alert is a rule whose condition holds.
type Alert struct {
	Rule      string `json:"rule"`
	Module    string `json:"module"`
	Interface string `json:"interface"`
	// State is "pending", "firing" or "resolved".
	State    string     `json:"state"`
	Severity string     `json:"severity"`
	Value    float64    `json:"value"`
	Unit     string     `json:"unit"`
	Text     string     `json:"text"`  // what is wrong
	Since    time.Time  `json:"since"` // when the condition began to hold
	Ended    *time.Time `json:"ended,omitempty"`
	Silenced bool       `json:"silenced"`
	// Told is when webhooks were last told that it fires. Zero: none was.
	Told time.Time `json:"told,omitzero"`
	// Webhooks are the names of those that were told, and will be told of its end.
	Webhooks []string `json:"webhooks,omitempty"` // bound: none, maxWebhooks
}

// Silence holds back the notifications of some alerts. Those fit whose rule, module and interface
// are its own; an empty one fits each.
type Silence struct {
	ID        string    `json:"id"`
	Rule      string    `json:"rule"`
	Module    string    `json:"module"`
	Interface string    `json:"interface"`
	Until     time.Time `json:"until"`
	By        string    `json:"by"` // the name of the operator's token
	Comment   string    `json:"comment"`
}

func (s *Silence) fits(a *Alert) bool {
	return (s.Rule == "" || s.Rule == a.Rule) && (s.Module == "" || s.Module == a.Module) &&
		(s.Interface == "" || s.Interface == a.Interface)
}

// New reads the state. Run checks the rules.
func New(cfg Config) (*Alerts, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.File == nil {
		cfg.File = new(File)
	}
	a := &Alerts{cfg: cfg, started: time.Now(), firing: make(map[subject]*Alert)}
	s, err := a.load()
	if err != nil {
		return nil, err
	}
	a.SetFile(cfg.File)
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, waiting := range s.Waiting {
		a.forward(name, waiting)
	}
	return a, nil
}

// SetFile changes the rules and webhooks of the file. Notifications that wait for a webhook go on
// waiting when its address or token changes. When it is gone they are lost, and counted. A rule of
// PutRule with a name that the file has now has no effect while the file has it.
func (a *Alerts) SetFile(f *File) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.senders
	a.file, a.senders = f, nil
	for i := range f.Webhooks {
		var s *sender
		for j, o := range old {
			if o != nil && o.hook == f.Webhooks[i] {
				s, old[j] = o, nil
			}
		}
		if s == nil {
			s = newSender(f.Webhooks[i], a.cfg.Logger)
		}
		a.senders = append(a.senders, s)
	}
	for _, o := range old {
		if o != nil {
			waiting := o.stop()
			a.figures.add(o.view())
			a.forward(o.hook.Name, waiting)
		}
	}
	for _, r := range a.rules {
		if err := r.checkWebhooks(f.Webhooks); err != nil && !a.inFile(r.Name) {
			a.cfg.Logger.Warn("an alert rule of the dashboard names a webhook that is gone", "rule", r.Name, "err", err)
		}
	}
}

// forward gives notifications that have waited to the webhook with the name. mu must be held.
func (a *Alerts) forward(name string, waiting []Alert) {
	for _, s := range a.senders {
		if s.hook.Name == name {
			for _, one := range waiting {
				s.push(one)
			}
			return
		}
	}
	if len(waiting) > 0 {
		a.figures.Lost += uint64(len(waiting))
		a.cfg.Logger.Warn("notifications are lost, because their webhook is gone", "webhook", name, "number", len(waiting))
	}
}

// Run checks the rules until ctx ends, and sends notifications. It returns when all is saved.
func (a *Alerts) Run(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		a.check(ctx, time.Now())
		_ = a.save() // it is counted, and tried again at the next check
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = a.save() // with the notifications that wait
			a.mu.Lock()
			defer a.mu.Unlock()
			for _, s := range a.senders {
				a.figures.Lost += uint64(len(s.stop()))
			}
			return
		}
	}
}

// all returns the rules, those of the file first. mu must be held.
func (a *Alerts) all() []Rule {
	all := slices.Clone(a.file.Rules)
	for _, r := range a.rules {
		if !a.inFile(r.Name) {
			all = append(all, r)
		}
	}
	return all
}

// inFile reports whether the file has a rule of the name. mu must be held.
func (a *Alerts) inFile(name string) bool {
	return slices.ContainsFunc(a.file.Rules, func(r Rule) bool { return r.Name == name })
}

// View is all that Alerts knows.
type View struct {
	Rules    []Rule        `json:"rules"`
	Active   []Alert       `json:"active"` // pending and firing, the newest one first
	Recent   []Alert       `json:"recent"` // that have ended, the newest one first
	Silences []Silence     `json:"silences"`
	Webhooks []WebhookView `json:"webhooks"`
	Checked  time.Time     `json:"checked"` // when the rules were last checked
}

// View returns what there is now.
func (a *Alerts) View() View {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := View{ // without nil: they are lists in JSON
		Rules: append([]Rule{}, a.all()...), Active: []Alert{}, Recent: append([]Alert{}, a.recent...),
		Silences: append([]Silence{}, a.silence...), Webhooks: []WebhookView{}, Checked: a.checked,
	}
	for _, f := range a.firing {
		one := *f
		one.Silenced = a.silenced(f)
		v.Active = append(v.Active, one)
	}
	slices.SortFunc(v.Active, func(a, b Alert) int {
		if c := b.Since.Compare(a.Since); c != 0 {
			return c
		}
		return strings.Compare(a.Rule+"\x00"+a.Module+"\x00"+a.Interface, b.Rule+"\x00"+b.Module+"\x00"+b.Interface)
	})
	for _, s := range a.senders {
		v.Webhooks = append(v.Webhooks, s.view())
	}
	return v
}

// silenced reports whether a silence fits the alert. mu must be held.
func (a *Alerts) silenced(one *Alert) bool {
	return slices.ContainsFunc(a.silence, func(s Silence) bool { return s.fits(one) })
}

// Stats returns the figures.
func (a *Alerts) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.figures
	for _, one := range a.firing {
		if one.State == "firing" {
			s.Firing++
		} else {
			s.Pending++
		}
	}
	for _, o := range a.senders {
		s.add(o.view())
	}
	return s
}

// add adds what a sender has counted.
func (s *Stats) add(v WebhookView) {
	s.Sent += v.Sent
	s.Failed += v.Failed
	s.Lost += v.Lost
}

// PutRule makes or changes a rule, and returns it with its defaults. If it cannot be written to the
// disk, as those of the other changes, there is an error, and it holds until the process ends.
func (a *Alerts) PutRule(r Rule) (Rule, error) {
	r, err := a.putRule(r)
	if err == nil {
		err = a.save()
	}
	return r, err
}

func (a *Alerts) putRule(r Rule) (Rule, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := r.checkWith(a.file.Webhooks); err != nil {
		return r, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if a.inFile(r.Name) {
		return r, ErrFromFile
	}
	r.Source = FromPage
	at, found := slices.BinarySearchFunc(a.rules, r.Name, func(o Rule, n string) int { return strings.Compare(o.Name, n) })
	switch {
	case found:
		a.rules[at] = r
	case len(a.rules) >= maxRules:
		return r, fmt.Errorf("%w: %d rules", ErrTooMany, maxRules)
	default:
		a.rules = slices.Insert(a.rules, at, r)
	}
	a.dirty = true
	return r, nil
}

// DeleteRule removes a rule of PutRule. Its alerts end at the next check.
func (a *Alerts) DeleteRule(name string) error {
	return a.remove(func() error {
		if a.inFile(name) {
			return ErrFromFile
		}
		n := len(a.rules)
		if a.rules = slices.DeleteFunc(a.rules, func(r Rule) bool { return r.Name == name }); len(a.rules) == n {
			return ErrNone
		}
		return nil
	})
}

// remove calls a function that removes something, and saves.
func (a *Alerts) remove(from func() error) error {
	a.mu.Lock()
	err := from()
	a.dirty = a.dirty || err == nil
	a.mu.Unlock()
	if err != nil {
		return err
	}
	return a.save()
}

// Silence holds back notifications for a time.
func (a *Alerts) Silence(s Silence, d time.Duration) (Silence, error) {
	s, err := a.addSilence(s, d)
	if err == nil {
		err = a.save()
	}
	return s, err
}

func (a *Alerts) addSilence(s Silence, d time.Duration) (Silence, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case s.Rule == "" && s.Module == "" && s.Interface == "":
		return s, fmt.Errorf("%w: one of rule, module and interface must be set", ErrInvalid)
	case len(s.Rule) > maxName || len(s.Module) > maxFilter || len(s.Interface) > maxFilter:
		return s, fmt.Errorf("%w: a name is too long", ErrInvalid)
	case d <= 0 || d > maxSilence:
		return s, fmt.Errorf("%w: seconds: must be between 1 and those of a year", ErrInvalid)
	case len(s.Comment) > maxComment:
		return s, fmt.Errorf("%w: comment: must have at most %d bytes", ErrInvalid, maxComment)
	case len(a.silence) >= maxSilences:
		return s, fmt.Errorf("%w: %d silences", ErrTooMany, maxSilences)
	}
	a.serial++
	s.ID, s.Until = fmt.Sprintf("s%d", a.serial), time.Now().Add(d).Truncate(time.Second)
	a.silence = append(a.silence, s)
	slices.SortStableFunc(a.silence, func(x, y Silence) int { return x.Until.Compare(y.Until) })
	a.dirty = true
	return s, nil
}

// EndSilence ends a silence.
func (a *Alerts) EndSilence(id string) error {
	return a.remove(func() error {
		n := len(a.silence)
		if a.silence = slices.DeleteFunc(a.silence, func(s Silence) bool { return s.ID == id }); len(a.silence) == n {
			return ErrNone
		}
		return nil
	})
}
