package tune_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/tune"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/validtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// TestSweepIsChecked has bad numbers. Run ends before its first run.
func TestSweepIsChecked(t *testing.T) {
	t.Parallel()
	over, end := context.WithCancel(t.Context())
	end()
	run := func(w tune.Sweep) error {
		o := bench.Options{Servers: bench.Servers{Binary: "/bin/false"}} // and not this program, which would start itself
		if _, err := tune.Run(over, o, w, nil); errors.Is(err, bench.ErrOptions) {
			return err
		}
		return nil
	}
	validtest.Negative(t, tune.Sweep{}, run)
	for name, w := range map[string]tune.Sweep{
		"reactors": {Reactors: []int{0}}, "workers": {Workers: []int{1, -1}}, "worker-procs": {WorkerProcs: []int{-1}},
	} {
		if err := run(w); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want an error that names %s", w, err, name)
		}
	}
}

// TestBest has trials of 1, 2 and 4 reactors, of which 2 is the default.
func TestBest(t *testing.T) {
	t.Parallel()
	const bad = -1
	trial := func(reactors int, cpu []float64, rates ...float64) tune.Trial {
		x := tune.Trial{Setting: tune.Setting{Reactors: reactors}}
		for i, rate := range rates {
			r := &bench.Report{
				Rate: rate, Verdict: bench.Verdict{Valid: rate != bad},
				Servers: []bench.ProcessUsage{{PerMessage: cpu[i] / 2}, {PerMessage: cpu[i] / 2}},
			}
			x.Reports = append(x.Reports, r)
		}
		return x
	}
	nine, few := []float64{9, 9, 9, 9}, []float64{5, 5, 5, 5}
	for name, c := range map[string]struct {
		want   int
		sure   bool
		trials []tune.Trial
	}{
		"faster past the spread": {
			1, true, []tune.Trial{trial(1, nine, 150, 151, 152), trial(2, nine, 100, 101, 102), trial(4, nine, 100, 101, 102)},
		},
		"the fastest within 3 % takes the least": {
			4, true, []tune.Trial{trial(1, nine, 150, 151, 152), trial(2, nine, 100, 101, 102), trial(4, few, 148, 149, 150)},
		},
		"the thriftiest is too slow": {
			1, true, []tune.Trial{trial(1, nine, 150, 151, 152), trial(2, nine, 100, 101, 102), trial(4, few, 120, 121, 122)},
		},
		"as fast for less": {1, true, []tune.Trial{trial(1, few, 98, 99, 100), trial(2, nine, 100, 101, 102)}},
		"less, but slower": {2, true, []tune.Trial{trial(1, few, 90, 91, 92), trial(2, nine, 100, 101, 102)}},
		"one is worse, one no different": {
			2, false, []tune.Trial{trial(1, few, 90, 91, 92), trial(2, nine, 100, 101, 102), trial(4, nine, 100, 101, 102)},
		},
		"the only other is left out": {2, false, []tune.Trial{trial(1, few, 90, bad, 92), trial(2, nine, 100, 101, 102)}},
		"faster within the spread":   {2, false, []tune.Trial{trial(1, nine, 90, 110, 160), trial(2, nine, 80, 100, 120)}},
		"less within the spread": {
			2, false, []tune.Trial{trial(1, []float64{5, 7, 9}, 100, 101, 102), trial(2, []float64{6, 8, 10}, 100, 101, 102)},
		},
		"less than 3 % faster": {
			2, false, []tune.Trial{trial(1, nine, 102, 102, 102), trial(2, nine, 100, 100, 100)},
		},
		"one round has no spread":          {2, false, []tune.Trial{trial(1, few, 200), trial(2, nine, 100)}},
		"two rounds have none to speak of": {2, false, []tune.Trial{trial(1, few, 200, 200), trial(2, nine, 100, 100)}},
		"of four rounds the middle two count": {
			4, true, []tune.Trial{
				trial(1, nine, 140, 140, 200, 200), trial(2, nine, 100, 100, 100, 100), trial(4, few, 166, 166, 166, 166),
			},
		},
		"the best had a run that is not valid": {
			4, true, []tune.Trial{trial(1, few, 300, bad, 300), trial(2, nine, 100, 101, 102), trial(4, nine, 150, 151, 152)},
		},
		"the default had one: what to measure others by?": {
			2, false, []tune.Trial{trial(1, few, 300, 300, 300), trial(2, nine, bad, 101, 102)},
		},
		"nothing is left": {2, false, []tune.Trial{trial(1, few, bad, 300, 300), trial(2, nine, bad, 101, 102)}},
	} {
		best, sure := tune.Stage{Trials: c.trials, Before: tune.Setting{Reactors: 2}}.Best()
		if best.Setting.Reactors != c.want || sure != c.sure {
			t.Errorf("%s: %d reactors, sure %v", name, best.Setting.Reactors, sure)
		}
	}
}

// TestLeftOut returns the reason of the first run that is not OK.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	good := bench.Verdict{Valid: true}
	for want, v := range map[string][]bench.Verdict{
		"":                                    {good, good},
		"left out, INVALID: it was the limit": {good, {Reasons: []string{"it was the limit", "and late"}}},
		"left out, FAILED: 3 lost":            {{Valid: true, Failed: true, Reasons: []string{"3 lost"}}, good},
		"left out, FAILED: 3 lost, not valid": {{Failed: true, Reasons: []string{"3 lost, not valid"}}},
		"left out, INVALID: no reason given":  {{}},
	} {
		var x tune.Trial
		for _, v := range v {
			x.Reports = append(x.Reports, &bench.Report{Verdict: v})
		}
		if got := x.LeftOut(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestTune tries two knobs. Each stage goes on from the best of the one before.
func TestTune(t *testing.T) {
	t.Parallel()
	o := bench.Options{
		Codec: bench.Text, Conns: 40, Warmup: 20 * time.Millisecond, Window: 400 * time.Millisecond,
		Servers: bench.Servers{Binary: proctest.Build(t)},
	}
	sweep := tune.Sweep{
		Reactors: []int{1, 2}, Workers: []int{2}, WorkerProcs: []int{1}, Pin: []bool{false, true}, Rounds: 2,
	}
	runs := 0
	stages, err := tune.Run(t.Context(), o, sweep, func(tune.Setting, *bench.Report) { runs++ })
	if err != nil || len(stages) != 2 || runs != 8 {
		t.Fatalf("%+v after %d runs: %v", stages, runs, err)
	}
	if n, err := sweep.Runs(); n != runs || err != nil {
		t.Errorf("%d runs were announced, %v", n, err)
	}
	chosen, _ := stages[0].Best()
	best := chosen.Setting
	if stages[1].Before != best {
		t.Errorf("the second stage begins with %v, and %v was best", stages[1].Before, best)
	}
	for i, pin := range []bool{false, true} {
		x := stages[1].Trials[i]
		want := tune.Setting{Reactors: best.Reactors, Workers: 2, WorkerProcs: 1, Pin: pin}
		if x.Setting != want || len(x.Reports) != 2 {
			t.Errorf("%v with %d reports, want %v", x.Setting, len(x.Reports), want)
		}
		if s := x.Reports[1].Options.Servers; s.Workers != 2 || s.Procs != 1 || s.Pin != pin {
			t.Errorf("%+v was started for %v", s, x.Setting)
		}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	stages, err = tune.Run(ctx, o, sweep, func(s tune.Setting, _ *bench.Report) {
		if s.Pin {
			interrupt()
		}
	})
	if !errors.Is(err, context.Canceled) || len(stages) != 1 || stages[0].Knob != "reactors" {
		t.Errorf("interrupted in the second stage: %+v, %v", stages, err)
	}
	foreign := bench.Options{Targets: []string{"127.0.0.1:1"}}
	if _, err := tune.Run(t.Context(), foreign, sweep, nil); !errors.Is(err, bench.ErrOptions) {
		t.Errorf("a tuning of a foreign server: %v", err)
	}
}
