package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"sluice/bench"
	"sluice/bench/soak"
)

func benchSoakCommand() *cobra.Command {
	var o soak.Options
	var logs string
	var calm bool
	c := &cobra.Command{
		Use:   "soak",
		Short: "run for long while workers and links fail, and account for every message",
		Long: `soak starts gateways and workers as processes, on loopback, and makes load on them: clients that stay, rooms, and clients that come and go.
Meanwhile it kills, freezes and replaces workers, and cuts, slows down and corrupts links. Each round ends with a line: the audit of its messages, the faults so far, and
what each process holds. It ends with exit code 1 when a message was lost, duplicated or reordered, a client disconnected, or memory or descriptors grow.`,
		Example: `  sluice bench soak                          for ten minutes
  sluice bench soak --for 8h --log soak.log  over night, with what the processes logged
  sluice bench soak --calm                   the same load without faults`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Binary == "" {
				if o.Binary, err = os.Executable(); err != nil {
					return err
				}
			}
			o.Faults = !calm
			if logs != "" {
				f, err := os.Create(logs)
				if err != nil {
					return err
				}
				defer f.Close()
				o.Log = f
			}
			if err = soak.Run(c.Context(), o, os.Stdout); errors.Is(err, bench.ErrOptions) {
				return usageError{err}
			}
			return err
		},
	}
	f := c.Flags()
	f.DurationVar(&o.For, "for", 0, "how long (default 10m)")
	f.DurationVar(&o.Round, "round", 0, "from one line to the next (default 1m, or --for where that is less)")
	f.DurationVar(&o.Every, "every", 0, "from one fault to the next (default 2s)")
	f.IntVar(&o.Gateways, "gateways", 0, "gateways (default 2)")
	f.IntVar(&o.Workers, "workers", 0, "workers (default 3)")
	f.VarP((*count)(&o.Conns), "conns", "c", "clients at a time (default 400)")
	f.VarP((*rate)(&o.Rate), "rate", "R", "messages a second (default 2k)")
	f.Uint64Var(&o.Seed, "seed", 1, "of the order of the faults")
	f.BoolVar(&calm, "calm", false, "no faults")
	f.StringVar(&logs, "log", "", "a file for what the processes log")
	f.StringVar(&o.Binary, "binary", "", "the sluice program to soak (default: this one)")
	return c
}
