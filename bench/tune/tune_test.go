package tune_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sluice/bench"
	"sluice/bench/tune"
	"sluice/internal/leak"
	"sluice/internal/proctest"
	"sluice/internal/validtest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestSweepIsChecked has numbers that cannot be, and ends before the first run.
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
	for name, w := range map[string]tune.Sweep{"reactors": {Reactors: []int{0}}, "workers": {Workers: []int{1, -1}}, "worker-procs": {WorkerProcs: []int{-1}}} {
		if err := run(w); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want an error that names %s", w, err, name)
		}
	}
}

// TestBest has made-up trials: the fastest one is not chosen when another is nearly as fast for less.
func TestBest(t *testing.T) {
	t.Parallel()
	trial := func(reactors int, rate, cpu float64) tune.Trial {
		return tune.Trial{Setting: tune.Setting{Reactors: reactors}, Reports: []*bench.Report{{Rate: rate, Servers: []bench.ProcessUsage{{PerMessage: cpu / 2}, {PerMessage: cpu / 2}}}}}
	}
	for want, trials := range map[int][]tune.Trial{
		1: {trial(1, 98, 5), trial(2, 100, 9), trial(4, 90, 1)},
		2: {trial(1, 50, 5), trial(2, 100, 9)},
	} {
		if got := tune.Best(trials).Setting.Reactors; got != want {
			t.Errorf("%d reactors, want %d", got, want)
		}
	}
}

// TestTune tries two knobs, and each stage has to go on from the best of the one before.
func TestTune(t *testing.T) {
	t.Parallel()
	o := bench.Options{Codec: bench.Text, Conns: 40, Warmup: 20 * time.Millisecond, Window: 100 * time.Millisecond, Servers: bench.Servers{Binary: proctest.Build(t)}}
	sweep := tune.Sweep{Reactors: []int{1, 2}, Workers: []int{2}, WorkerProcs: []int{1}, Pin: []bool{false, true}, Rounds: 2}
	runs := 0
	stages, err := tune.Run(t.Context(), o, sweep, func(tune.Setting, *bench.Report) { runs++ })
	if err != nil || len(stages) != 2 || runs != 8 || sweep.Runs() != runs {
		t.Fatalf("%+v after %d runs: %v", stages, runs, err)
	}
	best := tune.Best(stages[0].Trials).Setting
	for i, pin := range []bool{false, true} {
		x := stages[1].Trials[i]
		if want := (tune.Setting{Reactors: best.Reactors, Workers: 2, WorkerProcs: 1, Pin: pin}); x.Setting != want || len(x.Reports) != 2 {
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
	if _, err := tune.Run(t.Context(), bench.Options{Targets: []string{"127.0.0.1:1"}}, sweep, nil); !errors.Is(err, bench.ErrOptions) {
		t.Errorf("a tuning of a foreign server: %v", err)
	}
}
