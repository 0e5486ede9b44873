package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/validtest"
)

// short is a run that is long enough to work, and too short to measure a speed.
func short(o bench.Options) bench.Options {
	o.Conns, o.Warmup, o.Window, o.Size = max(o.Conns, 40), 50*time.Millisecond, 200*time.Millisecond, 64
	o.Think = 20 * time.Millisecond
	return o
}

// TestRunModes runs every mode with real processes, in a closed loop and if possible in an open
// loop, and the echo over every codec.
func TestRunModes(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for _, mode := range bench.Modes {
		for _, c := range bench.Codecs {
			if mode != bench.Echo && c != bench.JSONLines && c != bench.WebSocket {
				continue
			}
			rates := []float64{0, 400}
			if mode == bench.Idle || mode == bench.Churn {
				rates = rates[:1]
			}
			for _, rate := range rates {
				name := string(mode) + "/" + string(c)
				if rate > 0 {
					name += "/open"
				}
				t.Run(name, func(t *testing.T) {
					o := short(bench.Options{
						Mode: mode, Codec: c, Rate: rate, RoomSize: 8, InFlight: 3, Senders: 2, PerConn: 5,
						Servers: bench.Servers{Binary: bin},
					})
					r := run(t, o)
					if mode == bench.Idle {
						return
					}
					if r.Messages == 0 || r.Latency.Count == 0 || r.Latency.P50 > r.Latency.Max {
						t.Errorf("%d messages, latency %+v", r.Messages, r.Latency)
					}
					if r.Audit.Expected == 0 || r.Audit.Received != r.Audit.Expected {
						t.Errorf("the audit does not add up: %+v", r.Audit)
					}
				})
			}
		}
	}
}

// TestRunProcesses sends rooms, pushes and broadcasts from clients of one generator process to
// those of another. The audit must still add up.
func TestRunProcesses(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for _, mode := range bench.Modes {
		t.Run(string(mode), func(t *testing.T) {
			r := run(t, short(bench.Options{
				Mode: mode, Codec: bench.Frame, Conns: 50, RoomSize: 7, InFlight: 2, Senders: 40, Processes: 3,
				Servers: bench.Servers{Binary: bin},
			}))
			if mode != bench.Idle && (r.Audit.Expected == 0 || r.Audit.Received != r.Audit.Expected) {
				t.Errorf("the audit does not add up: %+v", r.Audit)
			}
		})
	}
}

// TestRunLarge sends messages larger than the default limit of a gateway:
// servers that are started accept them.
func TestRunLarge(t *testing.T) {
	t.Parallel()
	o := short(bench.Options{Codec: bench.Frame, Servers: bench.Servers{Binary: proctest.Build(t)}})
	o.Conns, o.Size = 2, 1<<20+1
	run(t, o)
}

// run makes a run that must not fail. It may be INVALID: a busy test machine may make the generator
// the limit. A run in which nothing began and arrived within the window is made again with a longer
// one, since the machine was busy.
func run(t *testing.T, o bench.Options) *bench.Report {
	t.Helper()
	var moments []bench.Interval
	r, err := bench.Run(t.Context(), o, func(m bench.Interval) { moments = append(moments, m) })
	nothing := func() bool { return r.Latency.Count == 0 || r.Messages == 0 }
	for err == nil && o.Mode != bench.Idle && nothing() && o.Window < 10*time.Second {
		moments = nil
		o.Window *= 4
		r, err = bench.Run(t.Context(), o, func(m bench.Interval) { moments = append(moments, m) })
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict.Failed || !r.Audit.Clean() {
		t.Fatalf("%+v\n%+v", r.Verdict, r.Audit)
	}
	// Their number depends on the machine: on a slow one there are fewer.
	if n := len(moments); n != len(r.Timeline) || moments[0].At > 0 || moments[n-1].At <= 0 {
		t.Errorf("%d moments were told of, %d are in the report", n, len(r.Timeline))
	}
	addsUp(t, r)
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if len(o.Targets) == 0 && len(r.Servers) != 2 {
		t.Errorf("%d servers were measured: %+v", len(r.Servers), r.Servers)
	}
	return r
}

// addsUp checks that the figures of a report agree with each other.
func addsUp(t *testing.T, r *bench.Report) {
	t.Helper()
	var messages uint64
	var seconds float64
	cpu := make(map[string]float64)
	for _, m := range r.Timeline {
		if m.At <= 1e-6 {
			continue // warm-up
		}
		messages += m.Messages
		seconds += m.Seconds
		for name, cores := range m.CPU {
			cpu[name] += cores * m.Seconds
		}
	}
	near := func(what string, a, b, by float64) {
		t.Helper()
		if math.Abs(a-b) > by {
			t.Errorf("%s: %v and %v", what, a, b)
		}
	}
	near("the timeline's seconds and the window's", seconds, r.Seconds, 1e-6)
	if r.Options.Mode != bench.Idle {
		near("the timeline's messages and the window's", float64(messages), float64(r.Messages), 0)
		near("rate × time and messages", r.Rate*r.Seconds, float64(r.Messages), 0.5)
	}
	for _, p := range append(r.Servers, r.Own) {
		near("the timeline's CPU time and the window's, of "+p.Name, cpu[p.Name], p.CPU, 1e-6)
		near("cores × time and CPU time of "+p.Name, p.Cores*r.Seconds, p.CPU, 1e-6)
		if r.Options.Mode == bench.Idle {
			near("CPU time a connection and second × both and CPU time of "+p.Name,
				p.PerConnSecond*float64(r.Opened)*r.Seconds/1e6, p.CPU, 1e-6)
		} else {
			near("CPU time a message × messages and CPU time of "+p.Name, p.PerMessage*float64(r.Messages)/1e6, p.CPU, 1e-6)
		}
		if p.PerMessage > 0 && p.PerConnSecond > 0 {
			t.Errorf("%s takes %v µs a message and %v a connection and second: there is one of them",
				p.Name, p.PerMessage, p.PerConnSecond)
		}
	}
	if r.Offered != r.Options.Rate || r.Lateness.Count > 0 != (r.Offered > 0) {
		t.Errorf("%v were offered of %v a second; %d times lateness", r.Offered, r.Options.Rate, r.Lateness.Count)
	}
	if r.Offered > 0 && r.Verdict.Valid && !r.Interrupted && r.Options.Mode != bench.Chat {
		near("messages that were due in the window, and lateness", float64(r.Lateness.Count),
			r.Offered*r.Options.Window.Seconds(), 2*float64(r.Options.Loops*r.Options.Processes))
	}
}

// TestRunMeasuresTime delays a run in the middle, so that its window is longer than asked for:
// seconds and rates use the real time.
func TestRunMeasuresTime(t *testing.T) {
	t.Parallel()
	const window, hold = 500 * time.Millisecond, 700 * time.Millisecond
	echo := serve(t, func(nc net.Conn) { _, _ = io.Copy(nc, nc) })
	for _, rate := range []float64{0, 1000} {
		held := false
		o := bench.Options{
			Codec: bench.Text, Conns: 1, Size: 64, Rate: rate, Warmup: -1, Window: window, Targets: []string{echo},
		}
		r, err := bench.Run(t.Context(), o, func(m bench.Interval) {
			if !held && m.At < window.Seconds() {
				held = true
				time.Sleep(hold) // the fault
			}
		})
		least := hold
		if !held { // the machine did it
			least = window
		}
		if err != nil || r.Seconds < least.Seconds() {
			t.Fatalf("%v s, held up for %v: %v, %v", r.Seconds, hold, held, err)
		}
		checkReport(t, r)
		if rate > 0 && r.Sent > 1.5*rate {
			t.Errorf("%v a second were due, and %v were sent", rate, r.Sent)
		}
	}
}

// TestRunServerRests has a server that pauses for 300 ms. In an open loop all messages due in the
// pause are late; in a closed loop one is.
func TestRunServerRests(t *testing.T) {
	t.Parallel()
	const after, rest = 300 * time.Millisecond, 300 * time.Millisecond
	for _, rate := range []float64{0, 1000} {
		o := bench.Options{
			Codec: bench.Text, Conns: 1, Size: 64, Rate: rate, Warmup: -1, Window: time.Second,
			Targets: []string{resting(t, after, rest)},
		}
		r, err := bench.Run(t.Context(), o, nil)
		if err != nil || r.Verdict.Failed {
			t.Fatal(err, r)
		}
		h, err := r.Latency.Histogram()
		if err != nil {
			t.Fatal(err)
		}
		late := h.TotalCount() - countBelow(h, 100_000)
		if rate == 0 && late > 5 || rate > 0 && late < 150 || r.Latency.Max < rest.Microseconds() {
			t.Errorf("rate %v: of %d messages %d took longer than 100 ms, the slowest %d µs",
				rate, h.TotalCount(), late, r.Latency.Max)
		}
	}
}

// TestRunServerRestsAtTheEnd has a pause that begins in the window and ends after it: messages due
// in the window and answered later are the slowest, and must count.
func TestRunServerRestsAtTheEnd(t *testing.T) {
	t.Parallel()
	const after, window, rest, rate = 700 * time.Millisecond, time.Second, 600 * time.Millisecond, 1000
	o := bench.Options{
		Codec: bench.Text, Conns: 1, Size: 64, Rate: rate, Warmup: -1, Window: window,
		Targets: []string{resting(t, after, rest)},
	}
	r, err := bench.Run(t.Context(), o, nil)
	if err != nil || r.Verdict.Failed {
		t.Fatal(err, r)
	}
	due := int64(rate * window.Seconds())
	if r.Latency.Count < due-2 || r.Latency.Count > due+2 || r.Latency.Max < rest.Microseconds()*9/10 {
		t.Errorf("of %d messages that were due %d have a latency, the slowest %d µs", due, r.Latency.Count, r.Latency.Max)
	}
}

// countBelow returns how many values of h are below v.
func countBelow(h *hdrhistogram.Histogram, v int64) (n int64) {
	for _, b := range h.Distribution() {
		if b.To < v {
			n += b.Count
		}
	}
	return n
}

// serveOne serves one connection, and returns its address.
func serveOne(t *testing.T, serve func(net.Conn)) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = nc.Close() }()
		serve(nc)
	}()
	return ln.Addr().String()
}

// resting is an echo that pauses once, some time after its client connected.
func resting(t *testing.T, after, rest time.Duration) string {
	return serveOne(t, func(nc net.Conn) {
		began, b := time.Now(), make([]byte, 64<<10)
		for rested := false; ; {
			n, err := nc.Read(b)
			if err != nil {
				return
			}
			if !rested && time.Since(began) > after {
				rested = true
				time.Sleep(rest) // the fault
			}
			if _, err := nc.Write(b[:n]); err != nil {
				return
			}
		}
	})
}

// TestRunLoses has an echo server that drops, repeats, swaps or changes one
// message: the audit must find it.
func TestRunLoses(t *testing.T) {
	t.Parallel()
	line := func(p []byte) (first, rest []byte) {
		i := bytes.IndexByte(p, '\n') + 1
		return p[:i], p[i:]
	}
	for name, c := range map[string]struct {
		fault func(p []byte) []byte // what goes back for two or more lines
		want  func(a bench.Audit) bool
	}{
		"lost": {func(p []byte) []byte { _, rest := line(p); return rest }, func(a bench.Audit) bool { return a.Lost == 1 }},
		"duplicated": {
			func(p []byte) []byte { first, _ := line(p); return append(slices.Clip(first), p...) },
			func(a bench.Audit) bool { return a.Duplicated == 1 },
		},
		"reordered": {func(p []byte) []byte {
			first, rest := line(p)
			second, rest := line(rest)
			return append(append(append([]byte{}, second...), first...), rest...)
		}, func(a bench.Audit) bool { return a.Reordered == 1 }},
		"changed": {func(p []byte) []byte { p[40] ^= 1; return p }, func(a bench.Audit) bool { return a.Changed == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := short(bench.Options{
				Mode: bench.Echo, Codec: bench.Text, Conns: 1, InFlight: 4, Drain: 200 * time.Millisecond,
				Targets: []string{faulty(t, c.fault)},
			})
			o.Conns = 1
			r, err := bench.Run(t.Context(), o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(r.Audit) || !r.Verdict.Failed {
				t.Errorf("%+v %+v", r.Audit, r.Verdict)
			}
		})
	}
}

// faulty is an echo of lines with one fault, in the third read of two lines or more.
func faulty(t *testing.T, fault func([]byte) []byte) string {
	return serveOne(t, func(nc net.Conn) {
		var pending []byte
		for pieces := 0; ; {
			b := make([]byte, 4<<10)
			n, err := nc.Read(b)
			if err != nil {
				return
			}
			pending = append(pending, b[:n]...)
			end := bytes.LastIndexByte(pending, '\n') + 1
			p := pending[:end:end]
			if strings.Count(string(p), "\n") < 2 {
				continue // the generator has four on their way
			}
			if pieces++; pieces == 3 {
				p = fault(p)
			}
			if _, err := nc.Write(p); err != nil {
				return
			}
			pending = append([]byte(nil), pending[end:]...)
		}
	})
}

// TestRunRefuses has bad options, a server that does not exist and a server that closes.
func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]bench.Options{
		"mode":           {Mode: "dance"},
		"codec":          {Codec: "morse"},
		"size":           {Mode: bench.Rooms, Size: 20},
		"rate of idle":   {Mode: bench.Idle, Rate: 10},
		"push to nobody": {Mode: bench.Push, Conns: 1},
		"endless rate":   {Rate: math.Inf(1)},
		"target":         {Targets: []string{"nowhere"}},
		"no such PID":    {PIDs: []bench.PID{{Name: "nobody", PID: 1 << 30}}},
	} {
		if _, err := bench.Run(t.Context(), o, nil); !errors.Is(err, bench.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	validtest.Negative(t, bench.Options{
		Targets: []string{freeAddr(t)}, Servers: bench.Servers{Binary: "/bin/false"},
	}, func(o bench.Options) error {
		if _, err := bench.Run(ctx, o, nil); errors.Is(err, bench.ErrOptions) {
			return err
		}
		return nil // nobody listens there
	}, "Think", "Warmup", "Drain")
	if r, err := bench.Run(ctx, short(bench.Options{Targets: []string{freeAddr(t)}}), nil); err == nil {
		t.Errorf("nobody listens, and there is a report: %+v", r.Verdict)
	}
	if r, err := bench.Run(ctx, short(bench.Options{Servers: bench.Servers{Binary: "/bin/false"}}), nil); err == nil {
		t.Errorf("the servers did not start, and there is a report: %+v", r.Verdict)
	}
}

// TestRunServerDies kills the server in the middle: the report must say so, and the run must end.
func TestRunServerDies(t *testing.T) {
	t.Parallel()
	p := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "frame://127.0.0.1:0")
	o := short(bench.Options{
		Codec: bench.Frame, Targets: []string{p.Addrs["frame"]}, PIDs: []bench.PID{{Name: "echo", PID: p.PID}},
		Drain: 200 * time.Millisecond,
	})
	killed := false
	r, err := bench.Run(t.Context(), o, func(bench.Interval) {
		if !killed {
			killed = true
			p.Kill()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Verdict.Failed || len(r.Errors) != 2 || r.Errors[0].Kind != "closed" || r.Errors[0].Count != uint64(o.Conns) ||
		r.Errors[1].Kind != "ended" {
		t.Errorf("%+v %+v", r.Verdict, r.Errors)
	}
	if s := r.Servers[0]; s.CPU < 0 || s.PerConn < 0 || s.RSS == 0 {
		t.Errorf("of a server that has ended: %+v", s)
	}
	for _, m := range r.Timeline {
		if m.CPU["echo"] < 0 {
			t.Errorf("a server that has ended kept %v cores busy", m.CPU["echo"])
		}
	}
}

// TestRunInterrupted ends runs of one and of several generators in the window: the report covers
// the time until then, and its audit adds up.
func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for _, processes := range []int{1, 2} {
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		o := short(bench.Options{Processes: processes, InFlight: 3, Servers: bench.Servers{Binary: bin}})
		o.Window = time.Hour
		var last float64
		r, err := bench.Run(ctx, o, func(m bench.Interval) {
			if last = m.At; m.At > 0 {
				interrupt()
			}
		})
		if !errors.Is(err, context.Canceled) || r == nil {
			t.Fatal(r, err)
		}
		if !r.Interrupted || r.Verdict.Failed || r.Audit.Received != r.Audit.Expected || r.Seconds < 0.9 ||
			r.Seconds > 60 || r.Seconds != last {
			t.Errorf("%v s, the last moment at %v: %+v %+v", r.Seconds, last, r.Verdict, r.Audit)
		}
		if r.Messages == 0 || math.Abs(r.Rate*r.Seconds-float64(r.Messages)) > 1 {
			t.Errorf("%v a second in %v s are not %d", r.Rate, r.Seconds, r.Messages)
		}
	}
}
