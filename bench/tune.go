package bench

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
)

// A Setting is what Tune tries: event loops of the gateway and processors of the worker.
type Setting struct {
	Reactors, WorkerProcs int
}

func (s Setting) String() string {
	return fmt.Sprintf("reactors=%d worker-procs=%d", s.Reactors, s.WorkerProcs)
}

// Settings are those worth trying with so many processors: 1, 2, 4 … and all of them, for the gateway and for the worker.
func Settings(cpus int) []Setting {
	var steps []int
	for n := 1; n < cpus; n *= 2 {
		steps = append(steps, n)
	}
	steps = append(steps, max(cpus, 1))
	var all []Setting
	for _, r := range steps {
		for _, p := range steps {
			all = append(all, Setting{r, p})
		}
	}
	return all
}

// Trial is a setting and what its runs measured.
type Trial struct {
	Setting Setting
	Reports []*Report
}

// Rate is the median rate of the trial's runs.
func (t Trial) Rate() float64 { return t.median(func(r *Report) float64 { return r.Rate }) }

// CPU is the median of what all servers together took for a message, in microseconds.
func (t Trial) CPU() float64 {
	return t.median(func(r *Report) (sum float64) {
		for _, p := range r.Servers {
			sum += p.PerMessage
		}
		return sum
	})
}

// P99 is the median of the runs' 99th percentiles, in microseconds.
func (t Trial) P99() float64 {
	return t.median(func(r *Report) float64 { return float64(r.Latency.P99) })
}

func (t Trial) median(value func(*Report) float64) float64 {
	var v []float64
	for _, r := range t.Reports {
		v = append(v, value(r))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// Tune runs the load of o with each setting in turn, rounds times, so that a slow moment of the machine strikes all alike. No settings means Settings of this machine.
// done, unless it is nil, is told of each run. A run that fails its audit is an error.
func Tune(ctx context.Context, o Options, settings []Setting, rounds int, done func(Setting, *Report)) ([]Trial, error) {
	if len(o.Targets) > 0 || rounds < 1 {
		return nil, fmt.Errorf("%w: a tuning starts its own servers, at least once", ErrOptions)
	}
	if len(settings) == 0 {
		settings = Settings(runtime.NumCPU())
	}
	trials := make([]Trial, len(settings))
	for range rounds {
		for i, s := range settings {
			o.Servers.Reactors, o.Servers.Procs, o.Label = strconv.Itoa(s.Reactors), s.WorkerProcs, s.String()
			r, err := Run(ctx, o, nil)
			if err != nil {
				return nil, fmt.Errorf("%v: %w", s, err)
			}
			if r.Verdict.Failed {
				return nil, fmt.Errorf("bench: %v: %v", s, r.Verdict.Reasons)
			}
			trials[i] = Trial{s, append(trials[i].Reports, r)}
			if done != nil {
				done(s, r)
			}
		}
	}
	return trials, nil
}

// asGood is the part of the best rate that a setting must reach to be chosen for its thrift.
const asGood = 0.97

// Best is the trial to use: of those whose rate is within 3 % of the highest, the one that takes the least CPU time a message.
func Best(trials []Trial) Trial {
	top := slices.MaxFunc(trials, func(a, b Trial) int { return cmp.Compare(a.Rate(), b.Rate()) }).Rate()
	good := slices.DeleteFunc(slices.Clone(trials), func(t Trial) bool { return t.Rate() < asGood*top })
	return slices.MinFunc(good, func(a, b Trial) int { return cmp.Compare(a.CPU(), b.CPU()) })
}
