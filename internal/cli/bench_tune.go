package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
	"github.com/seed-7410fe32/sluice/bench/tune"
)

type benchTune struct {
	bench.Options
	sweep tune.Sweep
	page  string
}

func benchTuneCommand() *cobra.Command {
	var b benchTune
	c := &cobra.Command{
		Use: "tune", Short: "try server settings on this machine and say which to use", Args: noArgs,
		Long: `tune tries one setting after the other and goes on with the best value of each: event loops of
the gateway, number of workers, processors of a worker, and whether event loops are bound to
processors. The values of a setting take turns, so that a slow moment of the machine affects
all of them; the median counts.

A value is better than the one before (at first the default of the servers) if it is more than
3 % faster, or as fast for less CPU time per message, and the difference is larger than the
spread of the rounds. With 3 rounds the medians must be further apart than the rounds of both
values together are wide; from 4 rounds the Mann-Whitney U test must find it at 5 %. Among
several better values within 3 % of the fastest, the one with the least CPU time is best.
Otherwise there is no difference, and the value stays. With 1 or 2 rounds no difference can be
found. A value with an INVALID or FAILED run is left out, and the table says why.

By default the values are 1, 2, 3, 4, 6, 8, 12 and so on, up to the number of processors.

Two things follow from others and are not tried: a worker has one link for each event loop of
the gateway, and a batch is what one turn of a loop produces.`,
		Example: `  sluice bench tune
  sluice bench tune -P 16 --html tune.html         16 in flight, and a page with plots
  sluice bench tune --reactors 1,2 --workers 1 --worker-procs 2 --pin=false --rounds 5`,
		RunE: func(c *cobra.Command, _ []string) error { return b.run(c) },
	}
	f := c.Flags()
	f.StringVar((*string)(&b.Mode), "mode", string(bench.Echo), "the load: echo, push, broadcast or rooms")
	f.StringVar((*string)(&b.Codec), "codec", string(bench.WebSocket), "text, json, jsonl, frame or ws")
	b.Window, b.Warmup = 3*time.Second, time.Second
	for _, s := range b.Settings() {
		if slices.Contains([]string{"conns", "in-flight", "size", "duration", "warmup"}, s.Name) {
			addSetting(f, s)
		}
	}
	f.IntSliceVar(&b.sweep.Reactors, "reactors", nil, "numbers of event loops of the gateway to try")
	f.IntSliceVar(&b.sweep.Workers, "workers", nil, "numbers of workers to try")
	f.IntSliceVar(&b.sweep.WorkerProcs, "worker-procs", nil, "GOMAXPROCS of a worker, values to try")
	f.BoolSliceVar(&b.sweep.Pin, "pin", nil, "whether event loops are bound to processors, values to try")
	f.Lookup("pin").DefValue = "false,true" // the help would show []
	f.IntVar(&b.sweep.Rounds, "rounds", 3, "how often to try each value")
	f.StringVar(&b.Servers.Binary, "binary", "", "the sluice program to start servers from (default: this one)")
	f.StringVar(&b.page, "html", "", "also write a page with plots to this file")
	return c
}

func (b *benchTune) run(c *cobra.Command) error {
	runs, err := b.check()
	if err != nil {
		return usageError{err}
	}
	n := 0
	about := time.Duration(runs) * (b.Window + max(b.Warmup, 0) + time.Second)
	fmt.Fprintf(os.Stderr, "%d runs, about %s\n", runs, about.Round(time.Second))
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
	html := func(w io.Writer) error { return report.TuningHTML(w, stages) }
	return errors.Join(report.Tuning(os.Stdout, stages), err, writeFile(b.page, html))
}

func (b *benchTune) check() (runs int, err error) {
	if err := writable(b.page); err != nil {
		return 0, fmt.Errorf("--html: %w", err)
	}
	if !slices.Contains([]bench.Mode{bench.Echo, bench.Push, bench.Broadcast, bench.Rooms}, b.Mode) {
		return 0, fmt.Errorf("--mode: %q: must be echo, push, broadcast or rooms", b.Mode)
	}
	if b.sweep.Rounds < 1 {
		return 0, errors.New("--rounds: must be at least 1")
	}
	return b.sweep.Runs()
}
