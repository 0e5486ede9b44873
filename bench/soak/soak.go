// Package soak keeps audited load on gateways and workers, each a process, while it kills, freezes
// and replaces workers, and cuts, slows down and corrupts links. Each kind of load has clients of
// all wire formats. It reports lost, duplicated and reordered messages, gateways that use more
// memory than their limits and the load allow (bound.go), and memory or descriptors that grow.
// Everything is on loopback.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Options configure a soak. Run replaces zero values by defaults;
// negative ones are bench.ErrOptions.
type Options struct {
	Binary   string        // the sluice program
	For      time.Duration // Defaults to 10 minutes.
	Round    time.Duration // from one account to the next, with new clients. Defaults to a minute, at most For.
	Every    time.Duration // from one fault to the next. Defaults to 2 s.
	Gateways int           // Defaults to 2.
	Workers  int           // Defaults to 3.
	Conns    int           // clients at a time. Defaults to 100.
	// Formats of the clients, without targets. Defaults to bench.WireFormats.
	Formats []bench.WireFormat
	Rate    float64   // messages per second that come back to long-lived clients. Defaults to 2,000.
	Seed    uint64    // of the order of the faults
	Faults  bool      // false: only load
	Log     io.Writer // for the logs of the processes; nil: they are discarded
}

// Settings returns the numbers among the options, for flags.
func (o *Options) Settings() []bench.Setting {
	number := func(name, short, usage string, field any, otherwise float64) bench.Setting {
		return bench.Setting{Name: name, Short: short, Usage: usage, Field: field, Default: otherwise, Min: -1}
	}
	return []bench.Setting{
		number("for", "", "length of the test", &o.For, float64(10*time.Minute)),
		number("round", "", "time from one line to the next, at most --for", &o.Round, float64(time.Minute)),
		number("every", "", "time from one fault to the next", &o.Every, float64(2*time.Second)),
		number("gateways", "", "gateways", &o.Gateways, 2),
		number("workers", "", "workers", &o.Workers, 3),
		number("conns", "c", "clients at a time, about", &o.Conns, 100),
		number("rate", "R", "messages a second", &o.Rate, 2000),
	}
}

func (o *Options) defaults() error {
	if field, err := valid.Numbers(o); err != nil {
		return fmt.Errorf("%w: %s: %w", bench.ErrOptions, field, err)
	}
	for _, s := range o.Settings() {
		s.Fill()
	}
	o.Round = min(o.Round, o.For)
	if len(o.Formats) == 0 {
		o.Formats = bench.WireFormats()
	}
	return nil
}

// ErrFailed is returned by Run if a check failed. The printed lines say which.
var ErrFailed = errors.New("soak: failed")

type soak struct {
	o      Options
	out    io.Writer
	fleet  *fleet
	bound  int // bytes that a gateway may use
	began  time.Time
	rounds []round
	failed bool
	over   bool // a gateway uses more
}

type round struct {
	end    time.Duration // since the start
	loads  []*bench.Report
	usages []usage
	peaks  []int // bytes that each gateway has used
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
	faultCtx, stop := context.WithCancel(ctx)
	var faults errgroup.Group
	faults.Go(func() error { return s.causeFaults(faultCtx) })
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

func (s *soak) causeFaults(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(s.o.Seed, 5))
	for s.o.Faults && backoff.Sleep(ctx, s.o.Every) {
		if err := s.fleet.fault(ctx, rng); err != nil {
			return err
		}
	}
	return nil
}

func (s *soak) print(r round) {
	var line strings.Builder
	add := func(format string, args ...any) { _, _ = fmt.Fprintf(&line, format, args...) }
	add("%8s ", r.end.Round(time.Second))
	for _, load := range r.loads {
		result := "ok"
		if wrong := wrong(load); wrong != "" {
			s.failed, result = true, "FAILED ("+wrong+")"
		}
		add(" %s %d %s,", load.Options.Label, load.Audit.Received, result)
	}
	add(" %s", s.fleet.done())
	for _, load := range r.loads {
		for _, e := range load.Errors {
			if e.Kind == bench.TurnedAway {
				add(", %d %s turned away", e.Count, load.Options.Label)
			}
		}
		if load.SlowReaders != nil {
			add(", %d slow readers cut", load.SlowReaders.Cut)
		}
	}
	for i, peak := range r.peaks {
		add(", gateway-%d at most %.0f of %.0f MiB", i+1, mib(peak), mib(s.bound))
		if peak > s.bound {
			s.failed, s.over = true, true
			add(" FAILED (memory is not bounded)")
		}
	}
	for _, u := range r.usages {
		add("  %s %d MiB %d fds %d threads", u.name, u.rss>>20, u.descriptors, u.threads)
	}
	_, _ = fmt.Fprintln(s.out, line.String())
}

// wrong says what failed in a load; empty if nothing did.
func wrong(r *bench.Report) string {
	var what []string
	a := r.Audit
	for _, f := range a.Faults() {
		if f.Count > 0 {
			what = append(what, fmt.Sprintf("%d %s", f.Count, f.Name))
		}
	}
	for _, e := range r.Errors {
		// A gateway that is overloaded for a moment may turn connections away if it says so.
		if e.Kind != bench.TurnedAway || e.Count > a.Received {
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

func (s *soak) verdict() error {
	var received uint64
	var usages [][]usage
	for _, r := range s.rounds {
		for _, load := range r.loads {
			received += load.Audit.Received
		}
		usages = append(usages, r.usages)
	}
	grown := grows(usages)
	for _, g := range grown {
		_, _ = fmt.Fprintln(s.out, "FAILED ", g)
	}
	_, _ = fmt.Fprintf(s.out, "%d rounds, %d messages arrived, %s\n", len(s.rounds), received, s.fleet.done())
	if s.failed || len(grown) > 0 || len(s.rounds) == 0 {
		return ErrFailed
	}
	return nil
}
