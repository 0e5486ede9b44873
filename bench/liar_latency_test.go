package bench_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-7410fe32/sluice/bench"
)

// served is an answer with two times, between which its client has received it: the client reads
// the ping written after the answer with it or later.
type served struct {
	mark
	caller       *caller
	written, had time.Time // when its write began; when the pong was read
}

// ponged notes that p's client has read the answer before its first unanswered ping.
func (s *liar) ponged(p *caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p.pings) > 0 {
		s.served[p.pings[0]].had = time.Now()
		p.pings = p.pings[1:]
	}
}

// clockError bounds the error of the run's start in a report, which is rounded to the millisecond,
// and the rounding of a message's time.
const clockError = 500*time.Microsecond + 2*time.Microsecond

// TestLatency has servers with known delays: answers are late by a distribution, or all of them
// pause. The report must lie between two measurements of the server for the same messages, from
// their due time: until it wrote the answer, and until it knew that the client had read it.
func TestLatency(t *testing.T) {
	t.Parallel()
	late := func(s *liar, d *delivery) bool {
		after := 5 * time.Millisecond
		switch n := s.chance.IntN(100); {
		case n < 50:
			after = time.Millisecond
		case n < 52:
			after = 50 * time.Millisecond
		}
		d.at = time.Now().Add(after)
		return true
	}
	for _, c := range []struct {
		name string
		lie  lie
		o    bench.Options
		slow float64       // so many of a hundred messages
		by   time.Duration // take at least so long
	}{
		{
			"late, open loop", lie{tell: late, oneIn: 1}, bench.Options{Mode: bench.Echo, Rate: 500, Conns: 25}, 2,
			50 * time.Millisecond,
		},
		{
			"late, closed loop", lie{tell: late, oneIn: 1}, bench.Options{Mode: bench.Echo, InFlight: 2, Conns: 2}, 2,
			50 * time.Millisecond,
		},
		{
			"late, pushed", lie{tell: late, oneIn: 1}, bench.Options{Mode: bench.Push, Rate: 300, Conns: 20}, 2,
			50 * time.Millisecond,
		},
		{
			"pauses, open loop", lie{pauseEvery: 600 * time.Millisecond, pause: 200 * time.Millisecond},
			bench.Options{Mode: bench.Echo, Rate: 500, Conns: 10}, 10, 100 * time.Millisecond,
		},
		{
			"pauses, closed loop", lie{pauseEvery: 600 * time.Millisecond, pause: 200 * time.Millisecond},
			bench.Options{Mode: bench.Churn, PerConn: 4, Conns: 2}, 0, 190 * time.Millisecond,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := c.o
			o.Codec, o.Loops, o.Warmup, o.Window, o.Size = bench.WebSocket, 1, -1, 1200*time.Millisecond, messageSize
			c.lie.timed = true
			s := newLiar(t, o, c.lie)
			o.Targets = []string{s.ln.Addr().String()}
			r, err := bench.Run(t.Context(), o, nil)
			if err != nil || r.Verdict.Failed {
				t.Fatal(err, r)
			}
			s.stop()
			s.checkLatency(t, r)
			if h, err := r.Latency.Histogram(); err != nil || h.ValueAtQuantile(100-c.slow) < c.by.Microseconds() {
				t.Errorf("%v: %+v, and %v of 100 took %v", err, r.Latency, c.slow, c.by)
			}
		})
	}
}

// checkLatency compares the latency of a report with the measurements.
func (s *liar) checkLatency(t *testing.T, r *bench.Report) {
	t.Helper()
	all := s.served
	slices.SortStableFunc(all, func(a, b served) int { return cmp.Compare(a.at, b.at) })
	if int(r.Latency.Count) > len(all) || r.Latency.Count < 20 {
		t.Fatalf("%d answers were given, and %d have a latency", len(all), r.Latency.Count)
	}
	least, most := hdrhistogram.New(1, 120_000_000, 3), hdrhistogram.New(1, 120_000_000, 3)
	for _, a := range all[:r.Latency.Count] { // what was due after the window has none
		due := r.Started.Add(time.Duration(a.at) * time.Microsecond)
		if a.had.IsZero() { // its client has closed, with its last answer
			a.had = a.written.Add(time.Minute)
		}
		_ = least.RecordValue(max((a.written.Sub(due) - clockError).Microseconds(), 1))
		_ = most.RecordValue(min((a.had.Sub(due) + clockError).Microseconds(), 119_000_000))
	}
	h, err := r.Latency.Histogram()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []float64{10, 50, 90, 99, 99.9, 100} {
		low, v, high := least.ValueAtQuantile(q), h.ValueAtQuantile(q), most.ValueAtQuantile(q)
		if v < low || v > high {
			t.Errorf("p%v is %d µs, and the server knows that it is from %d to %d", q, v, low, high)
		} else {
			t.Logf("p%v is %d µs, from %d to %d", q, v, low, high)
		}
	}
}

// TestLatencyLeavesTheHandshakeOut has short-lived connections and a server that takes 100 ms for
// each handshake: a message is due when it can be sent, and not before.
func TestLatencyLeavesTheHandshakeOut(t *testing.T) {
	t.Parallel()
	o := bench.Options{
		Mode: bench.Churn, Codec: bench.WebSocket, Conns: 4, PerConn: 2, Loops: 1, Warmup: -1, Window: 600 * time.Millisecond,
		Size: messageSize,
	}
	s := newLiar(t, o, lie{greeting: 100 * time.Millisecond})
	o.Targets = []string{s.ln.Addr().String()}
	r, err := bench.Run(t.Context(), o, nil)
	if err != nil || r.Verdict.Failed {
		t.Fatal(err, r)
	}
	s.stop()
	firsts := 0
	for _, p := range s.callers {
		if p.sent > 0 {
			firsts++
			notBefore(t, r, p, p.begun)
		}
	}
	if firsts < 2 {
		t.Errorf("%d connections", firsts)
	}
}

// notBefore checks that p's first message was not due before a time.
func notBefore(t *testing.T, r *bench.Report, p *caller, moment time.Time) {
	t.Helper()
	due := r.Started.Add(time.Duration(p.first) * time.Microsecond)
	if early := moment.Sub(due) - clockError; early > 0 {
		t.Errorf("a connection's first message was due %v before it could be sent", early)
	}
}
