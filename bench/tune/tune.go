// Package tune tries what can be set on this machine: Run measures one knob after the other, and Best says which of its values to use. bench/report writes what it found.
package tune

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"sluice/bench"
	"sluice/internal/valid"
)

// A Setting is what Run tries.
type Setting struct {
	Reactors    int  // event loops of the gateway; a worker has one link for each
	Workers     int  // processes
	WorkerProcs int  // GOMAXPROCS of each worker
	Pin         bool // each event loop is tied to a processor
}

func (s Setting) String() string {
	return strings.Join([]string{"reactors=" + s.value(0), "workers=" + s.value(1), "worker-procs=" + s.value(2), "pin=" + s.value(3)}, " ")
}

// knobs are the names of what a Setting sets, in the order in which they are tuned: what matters most first.
var knobs = [...]string{"reactors", "workers", "worker-procs", "pin"}

// value is what knob k is set to.
func (s Setting) value(k int) string {
	switch k {
	case 0:
		return strconv.Itoa(s.Reactors)
	case 1:
		return strconv.Itoa(s.Workers)
	case 2:
		return strconv.Itoa(s.WorkerProcs)
	}
	return strconv.FormatBool(s.Pin)
}

// A Sweep is the values to try. An empty list means those worth trying on this machine.
type Sweep struct {
	Reactors, Workers, WorkerProcs []int
	Pin                            []bool
	Rounds                         int // how often each is tried, in turn. Defaults to 3.
}

func (w *Sweep) check() error {
	if field, err := valid.Numbers(w); err != nil {
		return fmt.Errorf("%w: %s: %w", bench.ErrOptions, field, err)
	}
	for k, list := range [][]int{w.Reactors, w.Workers, w.WorkerProcs} {
		for _, n := range list {
			if n < 1 {
				return fmt.Errorf("%w: %s: %d is not 1 or more", bench.ErrOptions, knobs[k], n)
			}
		}
	}
	return nil
}

func (w *Sweep) defaults(cpus int) {
	steps := func(to int) (all []int) { // 1 2 3 4 6 8 12 16 24 … and the last
		for n := 1; n < to; n *= 2 {
			if all = append(all, n); n > 1 && n+n/2 < to {
				all = append(all, n+n/2)
			}
		}
		return append(all, to)
	}
	cpus = max(cpus, 1)
	if len(w.Reactors) == 0 {
		w.Reactors = steps(cpus)
	}
	if len(w.Workers) == 0 {
		for n := 1; n <= max(cpus/4, 2); n *= 2 {
			w.Workers = append(w.Workers, n)
		}
	}
	if len(w.WorkerProcs) == 0 {
		w.WorkerProcs = steps(cpus)
	}
	if len(w.Pin) == 0 {
		w.Pin = []bool{false, true}
	}
	if w.Rounds == 0 {
		w.Rounds = 3
	}
}

// start is the setting from which the tuning begins: few loops, one worker with all processors.
func (w *Sweep) start() Setting {
	return Setting{w.Reactors[0], w.Workers[0], w.WorkerProcs[len(w.WorkerProcs)-1], w.Pin[0]}
}

// around are the settings that have each value of knob k, and else what s has.
func (w *Sweep) around(s Setting, k int) (all []Setting) {
	list := [...][]int{w.Reactors, w.Workers, w.WorkerProcs, nil}[k]
	for _, n := range list {
		*[...]*int{&s.Reactors, &s.Workers, &s.WorkerProcs}[k] = n
		all = append(all, s)
	}
	if list == nil {
		for _, s.Pin = range w.Pin {
			all = append(all, s)
		}
	}
	return all
}

// Runs is how many runs the sweep takes on this machine.
func (w Sweep) Runs() int {
	w.defaults(runtime.NumCPU())
	n := 0
	for k := range knobs {
		if l := len(w.around(w.start(), k)); l > 1 {
			n += l
		}
	}
	return w.Rounds * max(n, 1)
}

// A Stage is one knob tried: a trial for each value, all else as it was best until then.
type Stage struct {
	Knob   string
	Trials []Trial
}

// Trial is a setting and what its runs measured.
type Trial struct {
	Value   string // of the stage's knob
	Setting Setting
	Reports []*bench.Report
}

// Rate is the median rate of the trial's runs.
func (t Trial) Rate() float64 { return t.median(func(r *bench.Report) float64 { return r.Rate }) }

// CPU is the median of what all servers together took for a message, in microseconds.
func (t Trial) CPU() float64 { return t.median(cpu) }

func cpu(r *bench.Report) (sum float64) {
	for _, p := range r.Servers {
		sum += p.PerMessage
	}
	return sum
}

// P99 is the median of the runs' 99th percentiles, in microseconds.
func (t Trial) P99() float64 {
	return t.median(func(r *bench.Report) float64 { return float64(r.Latency.P99) })
}

func (t Trial) median(value func(*bench.Report) float64) float64 {
	var v []float64
	for _, r := range t.Reports {
		v = append(v, value(r))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// Run makes the load of o with each value of one knob after the other, and goes on with the best of it: so a machine of many processors takes minutes and not a day. Within
// a stage the values take turns, so that a slow moment of the machine strikes all alike. A knob with one value is not tried. The last stage has the setting to use, as Best
// says. done, unless it is nil, is told of each run. A run that fails its audit is an error; with an
// error come the stages that were over by then.
func Run(ctx context.Context, o bench.Options, w Sweep, done func(Setting, *bench.Report)) ([]Stage, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	w.defaults(runtime.NumCPU())
	if len(o.Targets) > 0 {
		return nil, fmt.Errorf("%w: a tuning starts its own servers", bench.ErrOptions)
	}
	var stages []Stage
	setting := w.start()
	for k, name := range knobs {
		settings := w.around(setting, k)
		if len(settings) == 1 && (len(stages) > 0 || k < len(knobs)-1) {
			continue
		}
		trials := make([]Trial, len(settings))
		for range w.Rounds {
			for i, s := range settings {
				r, err := try(ctx, o, s)
				if err != nil {
					return stages, err
				}
				trials[i] = Trial{s.value(k), s, append(trials[i].Reports, r)}
				if done != nil {
					done(s, r)
				}
			}
		}
		stages = append(stages, Stage{name, trials})
		setting = Best(trials).Setting
	}
	return stages, nil
}

// try is one run with the setting.
func try(ctx context.Context, o bench.Options, s Setting) (*bench.Report, error) {
	o.Servers.Reactors, o.Servers.Workers, o.Servers.Procs, o.Servers.Pin = strconv.Itoa(s.Reactors), s.Workers, s.WorkerProcs, s.Pin
	o.Label = s.String()
	r, err := bench.Run(ctx, o, nil)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", s, err)
	}
	if r.Verdict.Failed {
		return nil, fmt.Errorf("tune: %v: %v", s, r.Verdict.Reasons)
	}
	return r, nil
}

// asGood is the part of the best rate that a setting must reach to be chosen for its thrift.
const asGood = 0.97

// Best is the trial to use: of those whose rate is within 3 % of the highest, the one that takes the least CPU time a message.
func Best(trials []Trial) Trial {
	top := slices.MaxFunc(trials, func(a, b Trial) int { return cmp.Compare(a.Rate(), b.Rate()) }).Rate()
	good := slices.DeleteFunc(slices.Clone(trials), func(t Trial) bool { return t.Rate() < asGood*top })
	return slices.MinFunc(good, func(a, b Trial) int { return cmp.Compare(a.CPU(), b.CPU()) })
}
