package bench_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// loads are the runs with faults, one for each mode but chat
// (TestLiarChat) and idle, which sends nothing.
var loads = []bench.Options{
	{Mode: bench.Echo, Conns: 6, Rate: 600},
	{Mode: bench.Churn, Conns: 6, PerConn: 5, InFlight: 2},
	{Mode: bench.Connect, Conns: 40, Rate: 200},
	{Mode: bench.Push, Conns: 6, Rate: 400},
	{Mode: bench.Rooms, Conns: 10, RoomSize: 4, Rate: 120},
	{Mode: bench.Broadcast, Conns: 8, Senders: 2, Rate: 50},
}

// TestLiar causes every fault in every mode. The audit counts exactly what was done, its figures
// add up, and the verdict follows.
func TestLiar(t *testing.T) {
	t.Parallel()
	// The first so many loads run with every fault in every codec. For the others codecs take
	// turns, because the first ones have shown what differs between codecs.
	inAllCodecs := suite.Of(t, 1, 2, "modes with every lie in every codec")
	together(t, func(run func(string, func(*testing.T))) {
		for i, o := range loads {
			for j, l := range lies {
				codecs := l.codecs(o.Mode)
				if i >= inAllCodecs && len(codecs) > 0 {
					codecs = codecs[(i+j)%len(codecs):][:1]
				}
				for _, o.Codec = range codecs {
					o := o
					run(fmt.Sprintf("%s/%s/%s", o.Mode, o.Codec, l.name), func(t *testing.T) {
						r, s := lieTo(t, o, l)
						s.check(t, r)
					})
				}
			}
		}
	})
}

// TestLiarClosedLoop causes faults in a closed loop: no connection has more messages in flight
// than allowed, whatever else arrives.
func TestLiarClosedLoop(t *testing.T) {
	t.Parallel()
	together(t, func(run func(string, func(*testing.T))) {
		for _, l := range lies {
			if l.adds.Lost > 0 || l.tell == nil || l.modes != nil || l.codec != nil { // a lost message is on its way for ever
				continue
			}
			run(l.name, func(t *testing.T) {
				o := bench.Options{Mode: bench.Echo, Codec: bench.Frame, Conns: 4, InFlight: 3}
				r, s := lieTo(t, o, l)
				s.check(t, r)
				if s.most > o.InFlight {
					t.Errorf("%d messages of a connection were on their way, and %d may be", s.most, o.InFlight)
				}
			})
		}
	})
}

// TestLiarProcesses causes faults in a load of two processes, in which messages go from a client
// of one process to a client of the other. The receiving process learns only at the end how many
// were sent. A sequence number that was never sent is unexpected all the same. If it is among the
// next million, the messages after it seem to be late and also count as reordered.
func TestLiarProcesses(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	together(t, func(run func(string, func(*testing.T))) {
		for i, o := range loads {
			if o.Mode != bench.Push && o.Mode != bench.Rooms && o.Mode != bench.Broadcast {
				continue
			}
			for j, l := range lies {
				if (i+j)%3 > 0 { // each in one of the three modes
					continue
				}
				if !slices.Contains(l.codecs(o.Mode), bench.Text) || l.cuts || l.name == "of a sequence that was never sent" {
					continue
				}
				o := o
				o.Codec, o.Processes, o.Servers.Binary = bench.Text, 2, bin
				run(fmt.Sprintf("%s/%s", o.Mode, l.name), func(t *testing.T) {
					r, s := lieTo(t, o, l)
					s.check(t, r)
				})
			}
		}
	})
}

// TestLiarSilent does not answer the first command of clients: there is no load and no report.
func TestLiarSilent(t *testing.T) {
	t.Parallel()
	for _, mode := range []bench.Mode{bench.Push, bench.Rooms, bench.Broadcast, bench.Chat} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			o := bench.Options{Mode: mode, Codec: bench.Text, Conns: 4}
			s := newLiar(t, o, lie{mute: 1})
			o.Targets = []string{s.ln.Addr().String()}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			r, err := bench.Run(ctx, o, nil)
			if r != nil || err == nil {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// atOnce is how many runs are made at a time. They mostly wait.
const atOnce = 8

// together runs tests side by side on any number of processors. An event loop, and a pacer before
// a message is due, each keep one of Go's processors while they wait in the kernel, so more of
// those are needed meanwhile.
func together(t *testing.T, tests func(run func(name string, test func(*testing.T)))) {
	defer processors(-2 * atOnce)
	processors(2 * atOnce)
	var all errgroup.Group
	all.SetLimit(atOnce)
	tests(func(name string, test func(*testing.T)) {
		all.Go(func() error { t.Run(name, test); return nil })
	})
	_ = all.Wait() // they report their failures themselves
}

var changing sync.Mutex // of the number of Go's processors

func processors(more int) {
	changing.Lock()
	defer changing.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + more)
}

// lieTo makes a short run against a liar, and returns when both have ended. It makes a longer run
// if the machine was so busy that nothing was sent, or not everything was answered.
func lieTo(t *testing.T, o bench.Options, l lie) (r *bench.Report, s *liar) {
	t.Helper()
	o.Size, o.Loops, o.Warmup, o.Window, o.Drain = messageSize, 1, -1, 200*time.Millisecond, 500*time.Millisecond
	for range 4 {
		s = newLiar(t, o, l)
		o.Targets = []string{s.ln.Addr().String()}
		var err error
		if r, err = bench.Run(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
		s.stop()
		enough := s.told >= l.least(o.Mode) && r.Messages > 0
		if enough && s.active.Before(r.Started.Add(o.Window+o.Drain)) {
			return r, s
		}
		if !enough {
			o.Window *= 3
		}
		o.Drain *= 3
	}
	t.Fatalf("%d lies were told, and %d messages came in %v", s.told, r.Messages, o.Window)
	return nil, nil
}

// check compares the report with what was done.
func (s *liar) check(t *testing.T, r *bench.Report) {
	t.Helper()
	got, want := r.Audit, s.did
	if s.lie.cuts { // the last that a client had sent when it was cut off may not have come out of it
		if got.Sent < want.Sent {
			t.Errorf("%d messages arrived, and %d are said to be sent", want.Sent, got.Sent)
		}
		want.Sent, want.Expected, want.Lost = got.Sent, got.Expected, got.Expected-want.Received
	}
	if got != want {
		t.Errorf("%d lies were told. The report says\n%+v, and what was done is\n%+v", s.told, got, want)
	}
	if got.Received != got.Expected-got.Lost+got.Duplicated+got.Unexpected ||
		s.mode != bench.Rooms && s.mode != bench.Broadcast && got.Expected != got.Sent {
		t.Errorf("the account does not close: %+v", got)
	}
	var failures uint64
	for _, e := range r.Errors {
		failures += e.Count
		if s.lie.kind != "" && e.Kind != s.lie.kind {
			t.Errorf("%+v, and all is of kind %q", e, s.lie.kind)
		}
		if e.Kind == "unreadable" && !strings.Contains(e.Example, `"`) {
			t.Errorf("it is not said what arrived: %+v", e)
		}
	}
	if want := uint64(s.told * s.lie.fails); failures != want {
		t.Errorf("%d failures, want %d: %+v", failures, want, r.Errors)
	}
	wrong := s.lie.adds != (bench.Audit{}) || !s.did.Clean()
	if r.Verdict.Failed != wrong {
		t.Errorf("%d lies were told, and the verdict is %+v", s.told, r.Verdict)
	}
	if good := got.Expected - got.Lost - got.Changed; r.Messages > good || r.Latency.Count > int64(good) {
		t.Errorf("%d messages arrived whole, %d are counted and %d have a latency", good, r.Messages, r.Latency.Count)
	}
	due := uint64(r.Options.Rate * r.Options.Window.Seconds())
	if s.mode == bench.Connect {
		due = 0 // it is connections that are due
	}
	if got.Sent+r.Unsent < due || !s.lie.cuts && r.Unsent > 0 {
		t.Errorf("%d messages were due: %d were sent, and %d not, for their connections were closed", due, got.Sent, r.Unsent)
	}
	reasons := strings.Join(r.Verdict.Reasons, "; ")
	if r.Unsent > 0 != strings.Contains(reasons, "their connection was closed") {
		t.Errorf("%d messages were due on connections that were closed, and the verdict is: %s", r.Unsent, reasons)
	}
}
