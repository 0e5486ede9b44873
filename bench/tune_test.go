package bench_test

import (
	"errors"
	"testing"
	"time"

	"sluice/bench"
	"sluice/internal/proctest"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	for cpus, want := range map[int]int{0: 1, 1: 1, 2: 4, 3: 9, 4: 9, 64: 49} {
		if got := bench.Settings(cpus); len(got) != want || got[len(got)-1].Reactors != max(cpus, 1) {
			t.Errorf("%d processors: %v", cpus, got)
		}
	}
}

// TestBest has made-up trials: the fastest one is not chosen when another is nearly as fast for less.
func TestBest(t *testing.T) {
	t.Parallel()
	trial := func(reactors int, rate, cpu float64) bench.Trial {
		return bench.Trial{Setting: bench.Setting{Reactors: reactors}, Reports: []*bench.Report{{Rate: rate, Servers: []bench.ProcessUsage{{PerMessage: cpu / 2}, {PerMessage: cpu / 2}}}}}
	}
	for want, trials := range map[int][]bench.Trial{
		1: {trial(1, 98, 5), trial(2, 100, 9), trial(4, 90, 1)},
		2: {trial(1, 50, 5), trial(2, 100, 9)},
	} {
		if got := bench.Best(trials).Setting.Reactors; got != want {
			t.Errorf("%d reactors, want %d", got, want)
		}
	}
}

func TestTune(t *testing.T) {
	t.Parallel()
	o := short(bench.Options{Codec: bench.Text, Servers: bench.Servers{Binary: proctest.Build(t)}})
	o.Warmup, o.Window = 20*time.Millisecond, 100*time.Millisecond
	runs := 0
	trials, err := bench.Tune(t.Context(), o, []bench.Setting{{1, 1}, {2, 1}}, 2, func(bench.Setting, *bench.Report) { runs++ })
	if err != nil || len(trials) != 2 || runs != 4 || trials[1].Reports[1].Options.Servers.Reactors != "2" {
		t.Errorf("%+v after %d runs: %v", trials, runs, err)
	}
	if _, err := bench.Tune(t.Context(), bench.Options{Targets: []string{"127.0.0.1:1"}}, nil, 1, nil); !errors.Is(err, bench.ErrOptions) {
		t.Errorf("a tuning of a foreign server: %v", err)
	}
}
