package admin

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// StatsCalls says how calls of handlers went. Latencies are in seconds. A quantile is at most a
// sixteenth more than the exact one.
type StatsCalls struct {
	Count   uint64            `json:"count"`
	Success uint64            `json:"success"`
	Codes   map[uint32]uint64 `json:"codes"` // failed calls, by code
	Latency StatsLatency      `json:"latency"`
}

// StatsLatency says how long calls took, in seconds.
type StatsLatency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// StatsRow is how the calls of one interface went.
type StatsRow struct {
	Module    string `json:"module"`
	Interface string `json:"interface"`
	StatsCalls
}

// Stats is the answer to GET /api/v1/stats.
type Stats struct {
	From time.Time  `json:"from"`
	To   time.Time  `json:"to"`
	Rows []StatsRow `json:"rows"`
}

// StatsPoint is how calls went from a time on, for a step.
type StatsPoint struct {
	Time time.Time `json:"time"`
	StatsCalls
}

// StatsSeries is the answer to GET /api/v1/stats/series.
type StatsSeries struct {
	From   time.Time    `json:"from"`
	To     time.Time    `json:"to"`
	Step   int          `json:"step"` // seconds
	Points []StatsPoint `json:"points"`
}

// StatsFailure is an entry of the failure log.
type StatsFailure struct {
	Time      time.Time `json:"time"`
	Module    string    `json:"module"`
	Interface string    `json:"interface"`
	Code      uint32    `json:"code"`
	Addr      string    `json:"addr"`
	Text      string    `json:"text"`
	Node      string    `json:"node"` // the process that reported it
}

// StatsFailures is the answer to GET /api/v1/stats/failures.
type StatsFailures struct {
	Failures []StatsFailure `json:"failures"`
	Next     string         `json:"next,omitempty"` // cursor of the next page
}

// StatsModule is a module and its interfaces.
type StatsModule struct {
	Module     string   `json:"module"`
	Interfaces []string `json:"interfaces"`
}

// StatsModules is the answer to GET /api/v1/stats/modules.
type StatsModules struct {
	Modules []StatsModule `json:"modules"`
}

// StatsNode is a process that reports, or several with one name.
type StatsNode struct {
	Node    string    `json:"node"`
	Last    time.Time `json:"last"` // of the last report
	Reports uint64    `json:"reports"`
}

// StatsInfo is the answer to GET /api/v1/stats/info. Sizes are in bytes.
type StatsInfo struct {
	Keeps           bool        `json:"keeps"`
	StatsTo         string      `json:"stats_to,omitempty"` // URL of the node that keeps
	Path            string      `json:"path"`               // name of the file; empty: in memory
	Bytes           int         `json:"bytes"`
	MaxBytes        int         `json:"max_bytes"`
	Oldest          *time.Time  `json:"oldest,omitempty"` // row
	Rows            int         `json:"rows"`
	Failures        int         `json:"failures"`
	DroppedRows     uint64      `json:"dropped_rows"` // before their time, since the start
	DroppedFailures uint64      `json:"dropped_failures"`
	LostFailures    uint64      `json:"lost_failures"` // in the processes that report
	WriteErrors     uint64      `json:"write_errors"`
	Nodes           []StatsNode `json:"nodes"`
}

// statistics answers the requests about statistics.
type statistics struct {
	kept      *keep.Keeper // nil: this gateway keeps none
	elsewhere string       // URL of the node that keeps; may be empty

	reporting chan struct{}       // one value for each request with reports; bound: none, maxReporting
	room      *semaphore.Weighted // rows of the reports that are being kept
}

func newStatistics(c *Config) *statistics {
	return &statistics{
		kept: c.Stats, elsewhere: c.StatsTo, reporting: make(chan struct{}, maxReporting),
		room: semaphore.NewWeighted(maxRows),
	}
}

func callsOf(c *keep.Calls) StatsCalls {
	a := StatsCalls{Count: c.Count, Success: c.Success, Codes: c.Codes, Latency: StatsLatency{
		Mean: c.Mean.Seconds(), P50: c.P50.Seconds(), P90: c.P90.Seconds(), P95: c.P95.Seconds(), P99: c.P99.Seconds(),
		Max: c.Max.Seconds(),
	}}
	if a.Codes == nil {
		a.Codes = map[uint32]uint64{}
	}
	return a
}

// rows answers GET /api/v1/stats.
func (s *statistics) rows(_ http.ResponseWriter, r *http.Request) (any, error) {
	k, q, _, err := s.query(r)
	if err != nil {
		return nil, err
	}
	rows, from, to, err := k.Rows(r.Context(), q)
	if err != nil {
		return nil, err
	}
	a := Stats{From: from, To: to, Rows: []StatsRow{}}
	for i := range rows {
		a.Rows = append(a.Rows, StatsRow{rows[i].Module, rows[i].Interface, callsOf(&rows[i].Calls)})
	}
	return a, nil
}

// series answers GET /api/v1/stats/series.
func (s *statistics) series(_ http.ResponseWriter, r *http.Request) (any, error) {
	k, q, more, err := s.query(r, "step")
	if err != nil {
		return nil, err
	}
	seconds := 0
	if text := more.Get("step"); text != "" {
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 60 || seconds > maxStep {
			return nil, refuse(http.StatusBadRequest, "step %q: must be a number of seconds between 60 and %d", text, maxStep)
		}
	}
	points, step, err := k.Series(r.Context(), q, time.Duration(seconds)*time.Second)
	if err != nil {
		return nil, err
	}
	a := StatsSeries{From: q.From, To: q.To, Step: int(step / time.Second), Points: []StatsPoint{}}
	for i := range points {
		a.Points = append(a.Points, StatsPoint{points[i].Time, callsOf(&points[i].Calls)})
	}
	if n := len(points); n > 0 {
		a.From, a.To = points[0].Time, points[n-1].Time.Add(step)
	}
	return a, nil
}

// maxStep is the longest step of a series, in seconds: a fortnight.
const maxStep = 14 * 24 * 3600

// failures answers GET /api/v1/stats/failures.
func (s *statistics) failures(_ http.ResponseWriter, r *http.Request) (any, error) {
	k, q, more, err := s.query(r, "code", "addr", "text", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	f := keep.FailureQuery{Query: q, Addr: more.Get("addr"), Text: more.Get("text"), Cursor: more.Get("cursor")}
	if f.Limit, err = limitOf(more); err != nil {
		return nil, err
	}
	if text := more.Get("code"); text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "code %q: must be between 0 and 4294967295", text)
		}
		code := uint32(n)
		f.Code = &code
	}
	page, err := k.Failures(r.Context(), f)
	if err != nil {
		return nil, err
	}
	a := StatsFailures{Failures: []StatsFailure{}, Next: page.Next}
	for i := range page.Failures {
		e := &page.Failures[i]
		a.Failures = append(a.Failures, StatsFailure{e.Time, e.Module, e.Interface, e.Code, e.Addr, e.Text, e.Node})
	}
	return a, nil
}

// modules answers GET /api/v1/stats/modules.
func (s *statistics) modules(_ http.ResponseWriter, r *http.Request) (any, error) {
	k, err := s.keeper()
	if err != nil {
		return nil, err
	}
	if _, err := query(r); err != nil {
		return nil, err
	}
	a := StatsModules{Modules: []StatsModule{}}
	for _, m := range k.Modules() {
		a.Modules = append(a.Modules, StatsModule{m.Name, m.Interfaces})
	}
	return a, nil
}

// info answers GET /api/v1/stats/info.
func (s *statistics) info(_ http.ResponseWriter, r *http.Request) (any, error) {
	if _, err := query(r); err != nil {
		return nil, err
	}
	k := s.kept
	if k == nil {
		return StatsInfo{StatsTo: s.elsewhere, Nodes: []StatsNode{}}, nil
	}
	f := k.Stats()
	a := StatsInfo{
		Keeps: true, Bytes: f.Bytes, MaxBytes: f.MaxBytes, Rows: f.Rows, Failures: f.LoggedFailures,
		DroppedRows: f.DroppedRows, DroppedFailures: f.DroppedFailures, LostFailures: f.LostFailures,
		WriteErrors: f.WriteErrors, Nodes: []StatsNode{},
	}
	if k.Path() != "" {
		a.Path = filepath.Base(k.Path())
	}
	oldest, err := k.Oldest()
	if err != nil {
		return nil, err
	}
	if !oldest.IsZero() {
		a.Oldest = &oldest
	}
	for _, n := range k.Nodes() {
		a.Nodes = append(a.Nodes, StatsNode{n.Name, n.Last, n.Reports})
	}
	return a, nil
}

// keeper returns what keeps statistics, or a problem if this gateway does not.
func (s *statistics) keeper() (*keep.Keeper, error) {
	switch {
	case s.kept != nil:
		return s.kept, nil
	case s.elsewhere != "":
		return nil, refuse(http.StatusNotImplemented, "this gateway keeps no statistics: ask %s", s.elsewhere)
	}
	return nil, refuse(http.StatusNotImplemented, "this gateway keeps no statistics")
}

// query returns the keeper and the parameters that all questions about calls have, and the
// other ones.
func (s *statistics) query(r *http.Request, more ...string) (*keep.Keeper, keep.Query, url.Values, error) {
	k, err := s.keeper()
	if err != nil {
		return nil, keep.Query{}, nil, err
	}
	v, err := query(r, append(more, "module", "interface", "from", "to")...)
	if err != nil {
		return nil, keep.Query{}, nil, err
	}
	q := keep.Query{Module: v.Get("module"), Interface: v.Get("interface")}
	now := time.Now()
	if q.To, err = timeOf("to", v.Get("to"), now, now); err == nil {
		q.From, err = timeOf("from", v.Get("from"), now, q.To.Add(-time.Hour))
	}
	if err == nil && q.From.After(q.To) {
		err = refuse(http.StatusBadRequest, "from is after to")
	}
	return k, q, v, err
}

// timeOf reads a parameter that is a time: RFC 3339, seconds since 1970, or -1h or -14d before now.
func timeOf(name, text string, now, without time.Time) (time.Time, error) {
	if text == "" {
		return without, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 && seconds < 1<<32 {
		return time.Unix(seconds, 0), nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n <= 0 && n > -10_000 {
			return now.Add(time.Duration(n) * 24 * time.Hour), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d <= 0 {
		return now.Add(d), nil
	}
	return now, refuse(http.StatusBadRequest,
		"%s %q: must be a time of RFC 3339, seconds since 1970, or a time before now like -1h or -14d", name, text)
}
