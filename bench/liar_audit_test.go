package bench_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/bench"
)

// loads are the runs that lies are told in, one for each mode but chat (TestLiarChat) and idle, in which nothing is said.
var loads = []bench.Options{
	{Mode: bench.Echo, Conns: 6, Rate: 2000},
	{Mode: bench.Churn, Conns: 12, PerConn: 5, InFlight: 2},
	{Mode: bench.Connect, Conns: 60, Rate: 300},
	{Mode: bench.Push, Conns: 6, Rate: 1000},
	{Mode: bench.Rooms, Conns: 10, RoomSize: 4, Rate: 300},
	{Mode: bench.Broadcast, Conns: 8, Senders: 2, Rate: 150},
}

// TestLiar tells every lie in every mode: the audit says to the message what has really been done, its figures agree with each other, and the verdict follows.
func TestLiar(t *testing.T) {
	t.Parallel()
	together(t, func(run func(string, func(*testing.T))) {
		for _, o := range loads {
			for _, l := range lies {
				for _, o.Codec = range bench.Codecs {
					few := o.Mode != bench.Echo && o.Mode != bench.Churn && o.Codec != bench.Text && o.Codec != bench.WebSocket // what codecs differ in has been seen
					if few || l.codec != nil && !slices.Contains(l.codec, o.Codec) || l.modes != nil && !slices.Contains(l.modes, o.Mode) {
						continue
					}
					run(fmt.Sprintf("%s/%s/%s", o.Mode, o.Codec, l.name), func(t *testing.T) {
						r, s := lieTo(t, o, l)
						s.check(t, r)
					})
				}
			}
		}
	})
}

// TestLiarClosedLoop tells lies to a closed loop: of each connection no more messages are on their way than it may have, whatever comes beside the answers.
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

// TestLiarMute has clients whose first command is not answered: there is no load, and no report.
func TestLiarMute(t *testing.T) {
	t.Parallel()
	for _, mode := range []bench.Mode{bench.Push, bench.Rooms, bench.Broadcast, bench.Chat} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := newLiar(t, mode, bench.Text, lie{mute: 1})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			r, err := bench.Run(ctx, bench.Options{Mode: mode, Codec: bench.Text, Conns: 4, Targets: []string{s.ln.Addr().String()}}, nil)
			if r != nil || err == nil {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// together runs tests beside each other, however many processors there are: what they do most is to wait.
func together(t *testing.T, tests func(run func(name string, test func(*testing.T)))) {
	var all errgroup.Group
	all.SetLimit(12)
	tests(func(name string, test func(*testing.T)) {
		all.Go(func() error { t.Run(name, test); return nil })
	})
	_ = all.Wait() // they report their failures themselves
}

// lieTo makes a short run against a liar, and returns when both are over.
func lieTo(t *testing.T, o bench.Options, l lie) (*bench.Report, *liar) {
	t.Helper()
	s := newLiar(t, o.Mode, o.Codec, l)
	o.Size, o.Loops, o.Warmup, o.Targets = max(o.Size, 40), max(o.Loops, 1), -1, []string{s.ln.Addr().String()}
	if o.Window == 0 {
		o.Window, o.Drain = 250*time.Millisecond, 800*time.Millisecond
	}
	r, err := bench.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	return r, s
}

// check holds the report against what was done.
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
	if got.Received != got.Expected-got.Lost+got.Duplicated+got.Unexpected || s.mode != bench.Rooms && s.mode != bench.Broadcast && got.Expected != got.Sent {
		t.Errorf("the account does not close: %+v", got)
	}
	var failures uint64
	for _, e := range r.Errors {
		failures += e.Count
		if s.lie.kind != "" && e.Kind != s.lie.kind {
			t.Errorf("%+v, and all is of kind %q", e, s.lie.kind)
		}
	}
	if want := uint64(s.told * s.lie.fails); failures != want {
		t.Errorf("%d failures, want %d: %+v", failures, want, r.Errors)
	}
	wrong := s.lie.adds != (bench.Audit{}) || !s.did.Clean()
	if r.Verdict.Failed != wrong || wrong && s.told == 0 {
		t.Errorf("%d lies were told, and the verdict is %+v", s.told, r.Verdict)
	}
	if good := got.Expected - got.Lost - got.Changed; r.Messages > good || r.Latency.Count > int64(good) {
		t.Errorf("%d messages arrived whole, %d are counted and %d have a latency", good, r.Messages, r.Latency.Count)
	}
	if open := r.Options.Rate > 0 && s.mode != bench.Connect; s.lie.cuts && open != (r.Unsent > 0) {
		t.Errorf("%d messages were due on connections that were closed", r.Unsent)
	}
	if reasons := strings.Join(r.Verdict.Reasons, "; "); s.lie.cuts && strings.Contains(reasons, "the generator cannot") {
		t.Errorf("the server closed connections, and the verdict is: %s", reasons)
	}
}
