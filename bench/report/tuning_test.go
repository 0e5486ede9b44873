package report

import (
	"bytes"
	"strings"
	"testing"

	"sluice/bench"
	"sluice/bench/tune"
)

// tuned is a tuning of two knobs on a made-up machine.
func tuned(t *testing.T) []tune.Stage {
	trial := func(value string, s tune.Setting, rates ...float64) tune.Trial {
		x := tune.Trial{Value: value, Setting: s}
		for _, rate := range rates {
			r := sample(t, 1000)
			r.Options.Mode, r.Rate, r.Servers = bench.Echo, rate, []bench.ProcessUsage{{Name: "gateway", PerMessage: 1e6 / rate}, {Name: "worker", PerMessage: 2}}
			x.Reports = append(x.Reports, r)
		}
		return x
	}
	return []tune.Stage{
		{Knob: "reactors", Trials: []tune.Trial{trial("1", tune.Setting{Reactors: 1, Workers: 2, WorkerProcs: 8}, 50e3, 40e3, 10e3), trial("4", tune.Setting{Reactors: 4, Workers: 2, WorkerProcs: 8}, 100e3, 90e3, 200e3)}},
		{Knob: "pin", Trials: []tune.Trial{
			trial("false", tune.Setting{Reactors: 4, Workers: 2, WorkerProcs: 8}, 50e3, 50e3, 50e3),
			trial("true", tune.Setting{Reactors: 4, Workers: 2, WorkerProcs: 8, Pin: true}, 100e3, 100e3, 100e3),
		}},
	}
}

func TestTuning(t *testing.T) {
	t.Parallel()
	stages := tuned(t)
	var text, page bytes.Buffer
	if err := Tuning(&text, stages); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"reactors  messages a second  CPU a message", "\n  1                       40k       27.00 µs", "\n  4                      100k       12.00 µs", "█▊ best\n\n  pin  ",
		"Use\n  sluice gateway --reactors 4 --pin\n  gateway.Config{Loops: 4, PinCPUs: true}\n  GOMAXPROCS=8 sluice chat --worker  # 2 of these\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), limitedNote) {
		t.Errorf("the generator was not the limit\n%s", &text)
	}
	stages[0].Trials[1].Reports[2].Verdict.Valid = false
	if err := TuningHTML(&page, stages); err != nil {
		t.Fatal(err)
	}
	complete(t, "tuning", page.String(), 4)
	for _, want := range []string{limitedNote, "sluice gateway --reactors 4 --pin", `<tr class="best"><td>4</td>`, "with workers=2 worker-procs=8 pin=false"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q on the page", want)
		}
	}
}
