package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice/bench"
	"sluice/bench/report"
)

// benchTune sweeps what can be set and says what to set.
type benchTune struct {
	benchRun
	reactors, procs []int
	rounds          int
	page            string
}

func benchTuneCommand() *cobra.Command {
	b := benchTune{benchRun: benchRun{Options: bench.Options{Mode: bench.Echo, Conns: 1000}}}
	c := &cobra.Command{
		Use: "tune", Short: "try reactor counts and worker processors on this machine and say which to use", Args: noArgs,
		Example: `  sluice bench tune                                1, 2, 4 … of each, up to the processors there are
  sluice bench tune -P 16 --html tune.html         with plots
  sluice bench tune --reactors 1,2 --worker-procs 2 --rounds 5`,
		RunE: func(c *cobra.Command, _ []string) error { return b.run(c) },
	}
	f := c.Flags()
	f.StringVar(&b.codec, "codec", string(bench.WebSocket), "text, json, jsonl, frame or ws")
	f.VarP((*count)(&b.Conns), "conns", "c", "connections")
	f.IntVarP(&b.InFlight, "in-flight", "P", 1, "messages in flight per connection")
	f.IntVarP(&b.Size, "size", "s", 128, "payload of a message, in bytes")
	f.DurationVarP(&b.Window, "duration", "z", 3*time.Second, "how long to measure each setting, each time")
	f.DurationVar(&b.Warmup, "warmup", time.Second, "how long to run before that")
	f.IntSliceVar(&b.reactors, "reactors", nil, "event loops of the gateway to try (default: 1, 2, 4 … up to the processors)")
	f.IntSliceVar(&b.procs, "worker-procs", nil, "processors of the worker to try (default: the same)")
	f.IntVar(&b.rounds, "rounds", 3, "how often to try each setting, in turn; the median counts")
	f.StringVar(&b.page, "html", "", "also write a page with plots to this file")
	return c
}

func (b *benchTune) run(c *cobra.Command) error {
	b.Codec = bench.Codec(b.codec)
	settings, err := b.settings()
	if err != nil {
		return usageError{err}
	}
	trials, err := bench.Tune(c.Context(), b.Options, settings, b.rounds, func(s bench.Setting, r *bench.Report) {
		fmt.Fprintf(os.Stderr, "%v  %s/s\n", s, report.Count(r.Rate))
	})
	if errors.Is(err, bench.ErrOptions) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	tuneTable(os.Stdout, trials)
	if b.page == "" {
		return nil
	}
	var last []*bench.Report
	for _, t := range trials {
		last = append(last, t.Reports[len(t.Reports)-1])
	}
	return writeFile(b.page, func(w io.Writer) error { return report.HTML(w, last...) })
}

// settings are what the flags ask for; none for the default.
func (b *benchTune) settings() ([]bench.Setting, error) {
	var all []bench.Setting
	if len(b.reactors) == 0 && len(b.procs) == 0 {
		return nil, nil
	}
	if len(b.reactors) == 0 || len(b.procs) == 0 {
		return nil, errors.New("--reactors and --worker-procs are given together or not at all")
	}
	for _, r := range b.reactors {
		for _, p := range b.procs {
			if r < 1 || p < 1 {
				return nil, errors.New("--reactors and --worker-procs are numbers from 1")
			}
			all = append(all, bench.Setting{Reactors: r, WorkerProcs: p})
		}
	}
	return all, nil
}

func tuneTable(w io.Writer, trials []bench.Trial) {
	best := bench.Best(trials)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "reactors\tworker procs\tmessages/s\tCPU a message\tp99\t\t")
	for _, x := range trials {
		mark := strings.Repeat("█", int(20*x.Rate()/best.Rate()+0.5))
		if x.Setting == best.Setting {
			mark += " best"
		}
		_, _ = fmt.Fprintf(t, "%d\t%d\t%s\t%.2f µs\t%s\t%s\t\n", x.Setting.Reactors, x.Setting.WorkerProcs, report.Count(x.Rate()), x.CPU(), report.Micros(int64(x.P99())), mark)
	}
	_ = t.Flush() // standard output
	_, _ = fmt.Fprintf(w, "\nUse: sluice gateway --reactors %d\n     GOMAXPROCS=%d for each worker\n", best.Setting.Reactors, best.Setting.WorkerProcs)
	for _, x := range trials {
		for _, r := range x.Reports {
			if !r.Verdict.Valid {
				_, _ = fmt.Fprintln(w, "\nIn some runs the generator was the limit: the rates are too low, and CPU a message is the better guide.")
				return
			}
		}
	}
}
