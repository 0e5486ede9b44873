package bench

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Format is the Report.Format of this version.
const Format = 1

// A Report is what one run measured, without its warm-up, and what is
// needed to judge and to repeat it.
type Report struct {
	Format   int       `json:"format"`
	Label    string    `json:"label,omitempty"`
	Started  time.Time `json:"started"`
	Command  []string  `json:"command,omitempty"`
	Version  string    `json:"version,omitempty"` // of the generator
	Machine  Machine   `json:"machine"`
	Options  Options   `json:"options"`
	Verdict  Verdict   `json:"verdict"`
	Audit    Audit     `json:"audit"`
	Opened   int       `json:"opened"`   // connections
	Seconds  float64   `json:"seconds"`  // measured length of the window, never 0
	Messages uint64    `json:"messages"` // received and checked in the window, as Options.Mode.Unit says
	Bytes    uint64    `json:"bytes"`    // of their payload
	Rate     float64   `json:"rate"`     // Messages per second
	Offered  float64   `json:"offered"`  // messages due per second; 0 in a closed loop
	Sent     float64   `json:"sent"`     // messages sent per second
	// Unsent are messages of an open loop that were due on a closed
	// connection, including the warm-up.
	Unsent  uint64        `json:"unsent,omitempty"`
	Actions *ActionCounts `json:"acts,omitempty"` // mode Chat: in the window
	// Interrupted means that the run was ended early: the figures cover the time until then.
	Interrupted bool `json:"interrupted,omitempty"`

	// Unreachable has a sentence for each address of a target that
	// accepted no connection before the run.
	Unreachable []string          `json:"unreachable,omitempty"`
	SlowReaders *SlowReaderResult `json:"slow_readers,omitempty"` // until the end of the window

	Latency  Latency        `json:"latency"`           // of messages begun or due in the window that arrived
	Lateness Latency        `json:"lateness"`          // from the due time to the send; open loop only
	Errors   []ErrorCount   `json:"errors,omitempty"`  // the most frequent first
	Servers  []ProcessUsage `json:"servers,omitempty"` // the measured processes
	Own      ProcessUsage   `json:"generator"`         // all generator processes together
	Foreign  *Foreign       `json:"foreign,omitempty"` // nil if unknown, or if the window is less than a second
	Timeline []Interval     `json:"timeline"`
}

// Total adds up a figure of all servers.
func (r *Report) Total(of func(ProcessUsage) float64) (sum float64) {
	for _, p := range r.Servers {
		sum += of(p)
	}
	return sum
}

// Machine is where the generator ran.
type Machine struct {
	OS, Arch string
	Kernel   string `json:",omitempty"`
	CPU      string `json:",omitempty"`
	CPUs     int    // that this process may use
	Memory   uint64 `json:",omitempty"` // bytes
	Go       string
}

// Verdict says whether the figures can be trusted.
type Verdict struct {
	// Valid is false if the figures do not describe the servers: the generator was the limit or did
	// not make the load, or other programs took too much of the machine.
	Valid  bool `json:"valid"`
	Failed bool `json:"failed"` // the audit or a connection failed
	// OwnFault means that the failure proves nothing about the server: no local port was left, or
	// the server closed connections while the generator was the limit, and nothing else failed.
	OwnFault bool     `json:"own_fault,omitempty"`
	Reasons  []string `json:"reasons,omitempty"` // sentences
}

// Audit is the account of every message of the run, including the warm-up.
type Audit struct {
	Sent       uint64 `json:"sent"`              // messages
	Expected   uint64 `json:"expected"`          // deliveries of the sent messages
	Received   uint64 `json:"received"`          // Expected - Lost + Duplicated + Unexpected
	Lost       uint64 `json:"lost"`              // did not arrive before Options.Drain had passed
	Duplicated uint64 `json:"duplicated"`        // arrived again
	Reordered  uint64 `json:"reordered"`         // arrived after a message that was sent later
	Changed    uint64 `json:"changed"`           // arrived, but not as it was sent
	Unexpected uint64 `json:"unexpected"`        // not for this connection, or never sent
	Unanswered uint64 `json:"unanswered"`        // short-lived connections and commands without an answer at the end
	Ignored    uint64 `json:"ignored,omitempty"` // matched Envelope.Ignore; in no other figure
}

// A Fault is something an audit can find wrong.
type Fault struct {
	Name  string // as in JSON
	Count uint64
}

// Faults returns all kinds of fault, also those that did not occur.
func (a Audit) Faults() []Fault {
	return []Fault{
		{"lost", a.Lost}, {"duplicated", a.Duplicated}, {"reordered", a.Reordered}, {"changed", a.Changed},
		{"unexpected", a.Unexpected}, {"unanswered", a.Unanswered},
	}
}

// Clean reports whether every message arrived once, in order and
// unchanged, and everything was answered.
func (a Audit) Clean() bool {
	return !slices.ContainsFunc(a.Faults(), func(f Fault) bool { return f.Count > 0 })
}

// Balanced reports whether the figures add up. If they do not, the generator is at fault.
func (a Audit) Balanced() bool {
	return a.Received == a.Expected-a.Lost+a.Duplicated+a.Unexpected
}

// Latency is a distribution in microseconds.
type Latency struct {
	Count  int64   `json:"count"`
	Mean   float64 `json:"mean_us"`
	StdDev float64 `json:"stddev_us"`
	P50    int64   `json:"p50_us"`
	P90    int64   `json:"p90_us"`
	P99    int64   `json:"p99_us"`
	P999   int64   `json:"p999_us"`
	Max    int64   `json:"max_us"`
	// Encoded is the whole distribution as HdrHistogram's compressed V2
	// encoding in base64; see Histogram.
	Encoded string `json:"hdr,omitempty"`
}

// Histogram returns the whole distribution in microseconds. Without an error it is never nil.
func (l Latency) Histogram() (*hdrhistogram.Histogram, error) {
	if l.Encoded == "" {
		return newHistogram(), nil
	}
	return hdrhistogram.Decode([]byte(l.Encoded))
}

// newHistogram holds 1 µs to 2 minutes with 3 significant digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 120_000_000, 3) }

func latencyOf(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		panic(err) // writes to memory do not fail
	}
	return Latency{
		Count: h.TotalCount(), Mean: h.Mean(), StdDev: h.StdDev(), P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90),
		P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), Max: h.Max(), Encoded: string(encoded),
	}
}

// TurnedAway is the ErrorCount.Kind of new connections that the server said it had no room for.
const TurnedAway = "turned away"

// ErrorCount is a kind of failure with one example. The kinds are dial, ports (no local port is
// left), tls, handshake, login, TurnedAway, closed, backlog (the server does not read), unanswered
// (too many messages), protocol, changed, unreadable, and ended (a server process).
type ErrorCount struct {
	Kind    string `json:"kind"`
	Count   uint64 `json:"count"`
	Example string `json:"example"`
}

// ProcessUsage is what a process used in the window.
type ProcessUsage struct {
	Name       string  `json:"name"` // gateway, worker and so on
	PID        int     `json:"pid,omitempty"`
	CPU        float64 `json:"cpu_seconds"`           // user and system
	PerMessage float64 `json:"cpu_us_per_message"`    // CPU over Report.Messages; 0 in mode Idle
	Cores      float64 `json:"cores"`                 // CPU over the window: 1 is one processor kept busy
	RSSBefore  uint64  `json:"rss_before"`            // resident bytes before the connections were opened
	RSS        uint64  `json:"rss"`                   // at the end of the window
	PerConn    float64 `json:"rss_per_conn"`          // the growth over Report.Opened, in bytes; 0 if RSS fell
	CoresLimit float64 `json:"cores_limit,omitempty"` // of a generator: the most it can use
	// PerConnSecond is CPU over Report.Opened and Report.Seconds in microseconds, including what
	// the process uses without connections. Mode Idle only.
	PerConnSecond float64 `json:"cpu_us_per_conn_second,omitempty"`
}

// Interval is a second of the run, or less in short runs. Those before the window are the warm-up.
type Interval struct {
	At       float64            `json:"at"`      // its end, in seconds from the start of the window
	Seconds  float64            `json:"seconds"` // its length
	Messages uint64             `json:"messages"`
	Sent     uint64             `json:"sent"`
	Errors   uint64             `json:"errors"`
	Open     int                `json:"open"` // connections, at its end
	P50      int64              `json:"p50_us"`
	P99      int64              `json:"p99_us"`
	Max      int64              `json:"max_us"`
	CPU      map[string]float64 `json:"cpu"` // cores kept busy, by process name, "generator" included
}

// Rate returns the messages per second of the interval.
func (m Interval) Rate() float64 { return float64(m.Messages) / m.Seconds }
