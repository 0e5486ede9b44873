// Package tune tries server settings on this machine. Run measures one knob after the other, and
// Stage.Best chooses its value. bench/report writes the result.
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
	Pin         bool // bind each event loop to a processor
}

// knobs are the names of the fields of a Setting, in the order of tuning.
var knobs = [...]string{"reactors", "workers", "worker-procs", "pin"}

func (s Setting) values() [len(knobs)]string {
	return [...]string{
		strconv.Itoa(s.Reactors), strconv.Itoa(s.Workers), strconv.Itoa(s.WorkerProcs), strconv.FormatBool(s.Pin),
	}
}

// String returns each knob with its value.
func (s Setting) String() string {
	var all []string
	for k, v := range s.values() {
		all = append(all, knobs[k]+"="+v)
	}
	return strings.Join(all, " ")
}

// A Sweep is the values to try. An empty list means values that suit this machine.
type Sweep struct {
	Reactors, Workers, WorkerProcs []int
	Pin                            []bool
	Rounds                         int // how often each value is tried, in turn. Defaults to 3.
}

func (w *Sweep) check() error {
	if field, err := valid.Numbers(w); err != nil {
		return fmt.Errorf("%w: %s: %w", bench.ErrOptions, field, err)
	}
	for k, list := range [][]int{w.Reactors, w.Workers, w.WorkerProcs} {
		if len(list) > 0 && slices.Min(list) < 1 {
			return fmt.Errorf("%w: %s: %d: must be at least 1", bench.ErrOptions, knobs[k], slices.Min(list))
		}
	}
	return nil
}

func (w *Sweep) defaults(cpus int) {
	cpus = max(cpus, 1)
	var steps, workers []int // steps are 1 2 3 4 6 8 12 16 24 and so on, up to cpus
	for n := 1; n < cpus; n *= 2 {
		if steps = append(steps, n); n > 1 && n+n/2 < cpus {
			steps = append(steps, n+n/2)
		}
	}
	for n := 1; n <= max(cpus/4, 2); n *= 2 {
		workers = append(workers, n)
	}
	steps = append(steps, cpus)
	w.Reactors, w.Workers = orDefault(w.Reactors, steps), orDefault(w.Workers, workers)
	w.WorkerProcs, w.Pin = orDefault(w.WorkerProcs, steps), orDefault(w.Pin, []bool{false, true})
	w.Rounds = cmp.Or(w.Rounds, 3)
}

func orDefault[T any](list, otherwise []T) []T {
	if len(list) == 0 {
		return otherwise
	}
	return list
}

// start is the first setting: for each knob the servers' default on so many processors if it is
// among the values, else the last value.
func (w *Sweep) start(cpus int) Setting {
	return Setting{pick(w.Reactors, cpus), pick(w.Workers, 1), pick(w.WorkerProcs, cpus), pick(w.Pin, false)}
}

func pick[T comparable](values []T, usual T) T {
	if slices.Contains(values, usual) {
		return usual
	}
	return values[len(values)-1]
}

// around returns s with each value of knob k.
func (w *Sweep) around(s Setting, k int) (all []Setting) {
	if k == len(knobs)-1 {
		for _, s.Pin = range w.Pin {
			all = append(all, s)
		}
		return all
	}
	field := [...]*int{&s.Reactors, &s.Workers, &s.WorkerProcs}[k]
	for _, *field = range [...][]int{w.Reactors, w.Workers, w.WorkerProcs}[k] {
		all = append(all, s)
	}
	return all
}

// Runs returns how many runs the sweep takes on this machine. Its error is bench.ErrOptions.
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

// Run makes the load of o with each value of one knob after the other, and goes on with the
// best one (Stage.Best). Within a stage the values take turns, so that a slow moment of the
// machine affects all of them. A knob with one value is not tried. The best setting of the
// last stage is the result. Run calls done, unless it is nil, after each run. A run that
// fails its audit does not end the tuning, but Run returns the error. With an error it
// returns the stages that were complete.
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

func try(ctx context.Context, o bench.Options, s Setting) (*bench.Report, error) {
	o.Servers = bench.Servers{
		Binary: o.Servers.Binary, Gateways: o.Servers.Gateways, Reactors: strconv.Itoa(s.Reactors),
		Workers: s.Workers, Procs: s.WorkerProcs, Pin: s.Pin,
	}
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
