package bench

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Format is the Report.Format that this version writes and reads.
const Format = 1

// A Report is what one run measured, its warm-up left out, and everything needed to judge and to repeat it. It is what --json writes.
type Report struct {
	Format   int       `json:"format"` // Format
	Label    string    `json:"label,omitempty"`
	Started  time.Time `json:"started"`
	Command  []string  `json:"command,omitempty"`
	Version  string    `json:"version,omitempty"` // of the generator
	Machine  Machine   `json:"machine"`
	Options  Options   `json:"options"`
	Verdict  Verdict   `json:"verdict"`
	Audit    Audit     `json:"audit"`
	Opened   int       `json:"opened"`   // connections, in all
	Seconds  float64   `json:"seconds"`  // of the window, as measured; never 0; less than Options.Window when Interrupted
	Messages uint64    `json:"messages"` // arrived and checked in the window: echoes, deliveries, or connections made, as Options.Mode.Unit says
	Bytes    uint64    `json:"bytes"`    // of their payload
	Rate     float64   `json:"rate"`     // Messages a second
	Offered  float64   `json:"offered"`  // messages a second that were to be sent; 0 in a closed loop
	Sent     float64   `json:"sent"`     // messages a second that were sent
	// Unsent are the messages of the run that were due on connections that were closed, warm-up included; open loop only.
	Unsent  uint64        `json:"unsent,omitempty"`
	Actions *ActionCounts `json:"acts,omitempty"` // mode chat: what people did in the window
	// Interrupted tells that the run was ended in the middle: its figures are of the time until then.
	Interrupted bool `json:"interrupted,omitempty"`

	Unreachable []string `json:"unreachable,omitempty"` // addresses of targets that accepted nothing before the run and got no connections: a sentence each

	SlowReaders *SlowReaderResult `json:"slow_readers,omitempty"` // until the window's end; no part of the audit
	Latency     Latency           `json:"latency"`                // of what was begun in the window, or was due in it, and has arrived before Options.Drain had passed
	Lateness    Latency           `json:"lateness"`               // from the intended to the real send of what was due in the window; open loop only
	Errors      []ErrorCount      `json:"errors,omitempty"`
	Servers     []ProcessUsage    `json:"servers,omitempty"` // measured ones
	Own         ProcessUsage      `json:"generator"`         // all generator processes together
	Foreign     *Foreign          `json:"foreign,omitempty"` // what other programs took; nil where it is not known, and for a window of less than a second
	Timeline    []Interval        `json:"timeline"`
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

// Verdict says whether the figures mean what they seem to.
type Verdict struct {
	// Valid is false when what was measured is not the servers: the generator was the limit or did not make the load that was asked for, or others took the machine's time.
	Valid  bool `json:"valid"`
	Failed bool `json:"failed"` // the audit or a connection failed
	// OwnFault tells that what failed proves nothing about the server: no local port was left for a connection, or the generator was the limit when the server closed connections,
	// which it may have done for that reason, and nothing else failed.
	OwnFault bool     `json:"own_fault,omitempty"`
	Reasons  []string `json:"reasons,omitempty"` // a sentence each, for all of them
}

// Audit is the account of every message of the run, warm-up included.
type Audit struct {
	Sent       uint64 `json:"sent"`              // messages; where each has one answer, as many are expected
	Expected   uint64 `json:"expected"`          // deliveries due for what was sent
	Received   uint64 `json:"received"`          // all that arrived but answers to commands: Expected - Lost + Duplicated + Unexpected
	Lost       uint64 `json:"lost"`              // did not arrive before Options.Drain had passed
	Duplicated uint64 `json:"duplicated"`        // arrived again
	Reordered  uint64 `json:"reordered"`         // arrived after one that was sent later
	Changed    uint64 `json:"changed"`           // arrived, and not as it was sent
	Unexpected uint64 `json:"unexpected"`        // not for this connection, or never sent
	Unanswered uint64 `json:"unanswered"`        // connections that came for a while and still waited for an answer at the end; people whose command was not answered
	Ignored    uint64 `json:"ignored,omitempty"` // matched Envelope.Ignore; in none of the other figures, and no fault
}

// A Fault is something that an audit can find wrong.
type Fault struct {
	Name  string // lost, duplicated …, as in JSON
	Count uint64
}

// Faults are all of them, in the order of reports.
func (a Audit) Faults() []Fault {
	return []Fault{{"lost", a.Lost}, {"duplicated", a.Duplicated}, {"reordered", a.Reordered}, {"changed", a.Changed}, {"unexpected", a.Unexpected}, {"unanswered", a.Unanswered}}
}

// Clean tells whether everything was answered and arrived once, in order and unchanged.
func (a Audit) Clean() bool {
	return !slices.ContainsFunc(a.Faults(), func(f Fault) bool { return f.Count > 0 })
}

// Balanced tells whether the account adds up: what was received is what was expected, without the lost, with the duplicated and the unexpected. An account that does not
// is the generator's own fault.
func (a Audit) Balanced() bool {
	return a.Received == a.Expected-a.Lost+a.Duplicated+a.Unexpected
}

// Latency is a distribution, in microseconds. In an open loop it counts from the moment a message was to be sent.
type Latency struct {
	Count  int64   `json:"count"`
	Mean   float64 `json:"mean_us"`
	StdDev float64 `json:"stddev_us"`
	P50    int64   `json:"p50_us"`
	P90    int64   `json:"p90_us"`
	P99    int64   `json:"p99_us"`
	P999   int64   `json:"p999_us"`
	Max    int64   `json:"max_us"`
	// Histogram is the whole of it, in the compressed V2 encoding of HdrHistogram, base64; empty without values. Histogram() opens it.
	Encoded string `json:"hdr,omitempty"`
}

// Histogram is the whole distribution, in microseconds; never nil.
func (l Latency) Histogram() (*hdrhistogram.Histogram, error) {
	if l.Encoded == "" {
		return newHistogram(), nil
	}
	return hdrhistogram.Decode([]byte(l.Encoded))
}

// newHistogram holds 1 µs to 2 minutes with 3 significant digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 120_000_000, 3) }

// latencyOf sums a histogram up.
func latencyOf(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		panic(err) // it writes to memory
	}
	return Latency{
		Count: h.TotalCount(), Mean: h.Mean(), StdDev: h.StdDev(),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), Max: h.Max(),
		Encoded: string(encoded),
	}
}

// TurnedAway is the ErrorCount.Kind of newcomers that the server had no room for, and told so.
const TurnedAway = "turned away"

// ErrorCount is a kind of failure, how often it came and one example.
type ErrorCount struct {
	Kind    string `json:"kind"` // dial, ports: no local one is left, tls, handshake, login, TurnedAway, closed, backlog: of what the server did not take, unanswered: too many, protocol, changed, unreadable, ended: a server process
	Count   uint64 `json:"count"`
	Example string `json:"example"`
}

// ProcessUsage is what a process took in the window.
type ProcessUsage struct {
	Name       string  `json:"name"` // gateway, worker, …
	PID        int     `json:"pid,omitempty"`
	CPU        float64 `json:"cpu_seconds"`           // user and system
	PerMessage float64 `json:"cpu_us_per_message"`    // CPU over Report.Messages; 0 in mode idle
	Cores      float64 `json:"cores"`                 // CPU over the window: 1 is one core kept busy
	RSSBefore  uint64  `json:"rss_before"`            // resident bytes before the connections were opened
	RSS        uint64  `json:"rss"`                   // at the end of the window
	PerConn    float64 `json:"rss_per_conn"`          // the difference over Report.Opened, bytes
	CoresLimit float64 `json:"cores_limit,omitempty"` // cores it can use at most, if known: a generator's loops
	// PerConnSecond is CPU over Report.Opened and Report.Seconds, in microseconds: what a connection that says nothing takes in a second, its share of what the process takes
	// without any included. Mode idle only.
	PerConnSecond float64 `json:"cpu_us_per_conn_second,omitempty"`
}

// Interval is one interval of the run: a second, or less in short runs. Those before the window are the warm-up.
type Interval struct {
	At       float64            `json:"at"`      // seconds from the window's start, of its end; negative in the warm-up
	Seconds  float64            `json:"seconds"` // its length
	Messages uint64             `json:"messages"`
	Sent     uint64             `json:"sent"`
	Errors   uint64             `json:"errors"`
	Open     int                `json:"open"` // connections, at its end
	P50      int64              `json:"p50_us"`
	P99      int64              `json:"p99_us"`
	Max      int64              `json:"max_us"`
	CPU      map[string]float64 `json:"cpu"` // cores kept busy, by process name; "generator" among them
}

// Rate is the messages a second of the interval.
func (m Interval) Rate() float64 { return float64(m.Messages) / m.Seconds }
