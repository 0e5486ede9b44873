package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
	"github.com/seed-7410fe32/sluice/bench/tune"
)

// benchTune sweeps what can be set and says what to set.
type benchTune struct {
	benchRun
	sweep tune.Sweep
	page  string
}

func benchTuneCommand() *cobra.Command {
	b := benchTune{benchRun: benchRun{Options: bench.Options{Conns: 1000}}}
	c := &cobra.Command{
		Use: "tune", Short: "try what can be set on this machine and say which to use, with the table, the plots and the lines to copy", Args: noArgs,
		Long: `tune tries one knob after the other, and goes on with the best of each: event loops of the gateway, number of workers, processors of a worker, and whether event loops
are tied to processors. Values take turns, so that a slow moment of the machine strikes all alike; the median counts.

A value is better than the one before (at first the servers' default) only if it is more than 3 % faster, or as fast for less CPU time a message, and that by more than the
rounds differ: with 3 rounds the medians must be further apart than both values' rounds together are wide, from 4 rounds on the Mann-Whitney U test must find it at 5 %. Of several
better ones within 3 % of the fastest the one that takes the least CPU time is best. Else it says "no difference", and the value stays. With 1 or 2 rounds nothing can be
told apart. A value that had an INVALID or FAILED run is left out, and the table says why.

The defaults are 1, 2, 3, 4, 6, 8, 12 … up to the processors there are: five settings on 2 processors, some thirty on 64.

There is nothing else to set: a worker has one link, its lane, for each event loop of the gateway, so that lanes follow --reactors; and a batch is what one turn of a
loop has, written at its end, whose size has no knob.`,
		Example: `  sluice bench tune
  sluice bench tune -P 16 --html tune.html         16 in flight, and a page with plots
  sluice bench tune --reactors 1,2 --workers 1 --worker-procs 2 --pin=false --rounds 5`,
		RunE: func(c *cobra.Command, _ []string) error { return b.run(c) },
	}
	f := c.Flags()
	f.StringVar((*string)(&b.Mode), "mode", string(bench.Echo), "the load: echo, push, broadcast or rooms")
	f.StringVar((*string)(&b.Codec), "codec", string(bench.WebSocket), "text, json, jsonl, frame or ws")
	f.VarP((*count)(&b.Conns), "conns", "c", "connections")
	f.IntVarP(&b.InFlight, "in-flight", "P", 1, "messages in flight per sender")
	f.IntVarP(&b.Size, "size", "s", 128, "payload of a message, in bytes")
	f.DurationVarP(&b.Window, "duration", "z", 3*time.Second, "how long to measure each setting, each time")
	f.DurationVar(&b.Warmup, "warmup", time.Second, "how long to run before that")
	f.IntSliceVar(&b.sweep.Reactors, "reactors", nil, "event loops of the gateway to try")
	f.IntSliceVar(&b.sweep.Workers, "workers", nil, "numbers of workers to try")
	f.IntSliceVar(&b.sweep.WorkerProcs, "worker-procs", nil, "processors (GOMAXPROCS) of a worker to try; until it is their turn as many as there are, or the last")
	f.BoolSliceVar(&b.sweep.Pin, "pin", nil, "whether event loops are tied to processors, to try")
	f.Lookup("pin").DefValue = "false,true" // the help would say []
	f.IntVar(&b.sweep.Rounds, "rounds", 3, "how often to try each setting")
	f.StringVar(&b.Servers.Binary, "binary", "", "the sluice program to start servers from (default: this one)")
	f.StringVar(&b.page, "html", "", "also write a page with plots to this file")
	return c
}

func (b *benchTune) run(c *cobra.Command) error {
	if err := b.check(c); err != nil {
		return usageError{err}
	}
	runs, err := b.sweep.Runs()
	if err != nil {
		return usageError{err}
	}
	n := 0
	fmt.Fprintf(os.Stderr, "%d runs, about %s\n", runs, (time.Duration(runs) * (b.Window + max(b.Warmup, 0) + time.Second)).Round(time.Second))
	stages, err := tune.Run(c.Context(), b.Options, b.sweep, func(s tune.Setting, r *bench.Report) {
		n++
		fmt.Fprintf(os.Stderr, "%*d/%d  %-55v %8s/s\n", len(fmt.Sprint(runs)), n, runs, s, report.Count(r.Rate))
	})
	if errors.Is(err, bench.ErrOptions) {
		return usageError{err}
	}
	if len(stages) == 0 {
		return err
	}
	fmt.Fprintln(os.Stderr)
	if b.page != "" {
		err = errors.Join(err, writeFile(b.page, func(w io.Writer) error { return report.TuningHTML(w, stages) }))
	}
	return errors.Join(report.Tuning(os.Stdout, stages), err)
}

func (b *benchTune) check(c *cobra.Command) error {
	if err := b.zeros(c); err != nil {
		return err
	}
	if err := writable(b.page); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	switch b.Mode {
	case bench.Echo, bench.Push, bench.Broadcast, bench.Rooms:
	default:
		return fmt.Errorf("--mode: %q cannot be tuned for", b.Mode)
	}
	if b.sweep.Rounds < 1 {
		return errors.New("--rounds: at least one")
	}
	return nil
}
