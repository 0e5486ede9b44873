// Package soak drives gateways and workers, each a process of its own, with audited load for as long as one likes, while workers are killed, frozen and replaced
// and links are cut, slowed down and corrupted. Clients of all wire formats are mixed in each kind of load. It says what was lost, duplicated or reordered, whether
// a gateway holds more than its limits and the load come to (bound.go), and whether memory or descriptors grow. Everything is on loopback.
package soak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Options say what to soak, and how. What is zero gets its default from Run, and what is negative is bench.ErrOptions.
type Options struct {
	Binary   string        // the sluice program
	For      time.Duration // Defaults to 10 minutes.
	Round    time.Duration // between two accounts; clients come anew for each. Defaults to a minute, or For where that is less.
	Every    time.Duration // between two faults. Defaults to 2 s.
	Gateways int           // Defaults to 2.
	Workers  int           // Defaults to 3.
	Conns    int           // clients at a time. Defaults to 100.
	// Formats are what the clients speak, side by side. Defaults to all that there are (bench.WireFormats). They need no targets.
	Formats []bench.WireFormat
	Rate    float64   // messages that come back a second, of those who stay. Defaults to 2,000.
	Seed    uint64    // of the order of the faults
	Faults  bool      // false: load alone, to compare with
	Log     io.Writer // what the processes log; nil: nowhere
}

func (o *Options) defaults() error {
	if field, err := valid.Numbers(o); err != nil {
		return fmt.Errorf("%w: %s: %w", bench.ErrOptions, field, err)
	}
	o.For = cmp.Or(o.For, 10*time.Minute)
	o.Round = min(cmp.Or(o.Round, time.Minute), o.For)
	o.Every = cmp.Or(o.Every, 2*time.Second)
	o.Gateways = cmp.Or(o.Gateways, 2)
	o.Workers = cmp.Or(o.Workers, 3)
	o.Conns = cmp.Or(o.Conns, 100)
	if len(o.Formats) == 0 {
		o.Formats = bench.WireFormats()
	}
	o.Rate = cmp.Or(o.Rate, 2000)
	return nil
}

// ErrFailed is returned by Run when a promise was not kept; the lines printed before say which.
var ErrFailed = errors.New("soak: a promise was not kept")

// soak is a run in progress.
type soak struct {
	o      Options
	out    io.Writer
	fleet  *fleet
	bound  int // bytes that a gateway may hold
	began  time.Time
	rounds []round
	failed bool
	over   bool // a gateway holds more
}

// round is what one account says.
type round struct {
	end   time.Duration // since the beginning
	loads []*bench.Report
	state []usage
	most  []int // bytes that each gateway has held
}

// Run soaks until For has passed or ctx ends, and prints a line for each round.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	if err := o.defaults(); err != nil {
		return err
	}
	s := &soak{o: o, out: out}
	var parts []addend
	s.bound, parts = bound(o.setup())
	_, _ = fmt.Fprint(out, table(s.bound, parts))
	s.fleet, err = start(o)
	defer func() { err = errors.Join(err, s.fleet.stop()) }()
	if err != nil {
		return err
	}
	s.began = time.Now()
	beside, stop := context.WithCancel(ctx)
	var faults errgroup.Group
	faults.Go(func() error { return s.disturb(beside) })
	for end := time.Now().Add(o.For); ctx.Err() == nil && !s.over && time.Until(end) > o.Round/2; {
		if err = s.round(ctx); err != nil {
			break
		}
	}
	stop()
	if err := errors.Join(err, faults.Wait()); err != nil && ctx.Err() == nil {
		return err
	}
	return s.verdict()
}

// disturb does one thing after the other to workers and links, until ctx ends.
func (s *soak) disturb(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(s.o.Seed, 5))
	for s.o.Faults && pause(ctx, s.o.Every) {
		if err := s.fleet.fault(ctx, rng); err != nil {
			return err
		}
	}
	return nil
}

// pause reports false when ctx ends meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// print is a round's line, and one for each thing that is wrong.
func (s *soak) print(r round) {
	line := new(strings.Builder)
	fmt.Fprintf(line, "%8s ", r.end.Round(time.Second))
	for _, load := range r.loads {
		fmt.Fprintf(line, " %s %d", load.Options.Label, load.Audit.Received)
		if wrong := wrong(load); wrong == "" {
			line.WriteString(" ok,")
		} else {
			s.failed = true
			line.WriteString(" FAILED (" + wrong + "),")
		}
	}
	line.WriteString(" " + s.fleet.done())
	for _, load := range r.loads {
		if n := turnedAway(load); n > 0 {
			fmt.Fprintf(line, ", %d %s turned away", n, load.Options.Label)
		}
		if load.Slow != nil {
			fmt.Fprintf(line, ", %d slow readers cut", load.Slow.Cut)
		}
	}
	for i, most := range r.most {
		fmt.Fprintf(line, ", gateway-%d at most %.0f of %.0f MiB", i+1, mib(most), mib(s.bound))
		if most > s.bound {
			s.failed, s.over = true, true
			line.WriteString(" FAILED (memory is not bounded)")
		}
	}
	for _, u := range r.state {
		fmt.Fprintf(line, "  %s %d MiB %d fds %d threads", u.name, u.rss>>20, u.descriptors, u.threads)
	}
	_, _ = fmt.Fprintln(s.out, line.String())
}

// wrong says what a load met that it must not, empty: nothing.
func wrong(r *bench.Report) string {
	var what []string
	a := r.Audit
	for _, f := range a.Faults() {
		if f.Count > 0 {
			what = append(what, fmt.Sprintf("%d %s", f.Count, f.Name))
		}
	}
	for _, e := range r.Errors {
		if e.Kind != bench.TurnedAway || e.Count > a.Received { // a gateway that is overloaded for a moment may, and must say so
			what = append(what, fmt.Sprintf("%d times %s: %s", e.Count, e.Kind, e.Example))
		}
	}
	if !a.Balanced() {
		what = append(what, fmt.Sprintf("the account does not add up: %+v", a))
	}
	if a.Received == 0 {
		what = append(what, "nothing arrived")
	}
	return strings.Join(what, ", ")
}

// turnedAway is how many newcomers a load had turned away.
func turnedAway(r *bench.Report) uint64 {
	for _, e := range r.Errors {
		if e.Kind == bench.TurnedAway {
			return e.Count
		}
	}
	return 0
}

// verdict sums up.
func (s *soak) verdict() error {
	var received uint64
	var states [][]usage
	for _, r := range s.rounds {
		for _, load := range r.loads {
			received += load.Audit.Received
		}
		states = append(states, r.state)
	}
	grown := grows(states)
	for _, g := range grown {
		_, _ = fmt.Fprintln(s.out, "FAILED ", g)
	}
	_, _ = fmt.Fprintf(s.out, "%d rounds, %d messages arrived, %s\n", len(s.rounds), received, s.fleet.done())
	if s.failed || len(grown) > 0 || len(s.rounds) == 0 {
		return ErrFailed
	}
	return nil
}
