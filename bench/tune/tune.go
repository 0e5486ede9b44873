// Package tune tries what can be set on this machine: Run measures one knob after the other, and Stage.Best says which of its values to use. bench/report writes what it found.
package tune

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// A Setting is what Run tries.
type Setting struct {
	Reactors    int  // event loops of the gateway; a worker has one link for each
	Workers     int  // processes
	WorkerProcs int  // GOMAXPROCS of each worker
	Pin         bool // each event loop is tied to a processor
}

// knobs are the names of what a Setting sets, in the order in which they are tuned: what matters most first.
var knobs = [...]string{"reactors", "workers", "worker-procs", "pin"}

func (s Setting) values() [len(knobs)]string {
	return [...]string{strconv.Itoa(s.Reactors), strconv.Itoa(s.Workers), strconv.Itoa(s.WorkerProcs), strconv.FormatBool(s.Pin)}
}

// String has each knob with its value.
func (s Setting) String() string {
	var all []string
	for k, v := range s.values() {
		all = append(all, knobs[k]+"="+v)
	}
	return strings.Join(all, " ")
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

// start is the setting from which the tuning begins and that it keeps where nothing is better: what servers have by default on so many processors if that is among the
// values, else the last of them.
func (w *Sweep) start(cpus int) Setting {
	return Setting{pick(w.Reactors, cpus), pick(w.Workers, 1), pick(w.WorkerProcs, cpus), pick(w.Pin, false)}
}

func pick[T comparable](values []T, usual T) T {
	if slices.Contains(values, usual) {
		return usual
	}
	return values[len(values)-1]
}

// around are the settings that have each value of knob k, and else what s has.
func (w *Sweep) around(s Setting, k int) (all []Setting) {
	if k == len(knobs)-1 {
		for _, s.Pin = range w.Pin {
			all = append(all, s)
		}
		return all
	}
	for _, *[...]*int{&s.Reactors, &s.Workers, &s.WorkerProcs}[k] = range [...][]int{w.Reactors, w.Workers, w.WorkerProcs}[k] {
		all = append(all, s)
	}
	return all
}

// Runs is how many runs the sweep takes on this machine; the error is ErrOptions.
func (w Sweep) Runs() (n int, err error) {
	if err := w.check(); err != nil {
		return 0, err
	}
	w.defaults(runtime.NumCPU())
	for k := range knobs {
		if l := len(w.around(w.start(runtime.NumCPU()), k)); l > 1 {
			n += l
		}
	}
	return w.Rounds * max(n, 1), nil
}

// Run makes the load of o with each value of one knob after the other, and goes on with the best of it, as Stage.Best says: so a machine of many processors takes minutes and
// not a day. Within a stage the values take turns, so that a slow moment of the machine strikes all alike. A knob with one value is not tried. The last stage's best is the
// setting to use. done, unless it is nil, is told of each run. A run that fails its audit does not end the tuning, but is an error at its end. With an error come the stages
// that were over by then.
func Run(ctx context.Context, o bench.Options, w Sweep, done func(Setting, *bench.Report)) (stages []Stage, err error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	w.defaults(runtime.NumCPU())
	if len(o.Targets) > 0 {
		return nil, fmt.Errorf("%w: a tuning starts its own servers", bench.ErrOptions)
	}
	setting := w.start(runtime.NumCPU())
	for k, name := range knobs {
		settings := w.around(setting, k)
		if len(settings) == 1 && (len(stages) > 0 || k < len(knobs)-1) {
			continue
		}
		s := Stage{Knob: name, Before: setting, Trials: make([]Trial, len(settings))}
		for range w.Rounds {
			for i, set := range settings {
				r, failure := try(ctx, o, set)
				if failure != nil && r == nil {
					return stages, failure
				}
				err = cmp.Or(err, failure)
				s.Trials[i] = Trial{set.values()[k], set, append(s.Trials[i].Reports, r)}
				if done != nil {
					done(set, r)
				}
			}
		}
		stages = append(stages, s)
		best, _ := s.Best()
		setting = best.Setting
	}
	return stages, err
}

// try is one run with the setting. With a report comes an error only if the run failed.
func try(ctx context.Context, o bench.Options, s Setting) (*bench.Report, error) {
	o.Servers.Reactors, o.Servers.Workers, o.Servers.Procs, o.Servers.Pin = strconv.Itoa(s.Reactors), s.Workers, s.WorkerProcs, s.Pin
	o.Label = s.String()
	r, err := bench.Run(ctx, o, nil)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", s, err)
	}
	if r.Verdict.Failed {
		return r, fmt.Errorf("tune: %v: %v", s, r.Verdict.Reasons)
	}
	return r, nil
}
