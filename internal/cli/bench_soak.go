package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/soak"
)

// benchSoak is a soak, as the command line asks for it.
type benchSoak struct {
	soak.Options
	logs    string
	calm    bool
	formats []string
}

func benchSoakCommand() *cobra.Command {
	var o benchSoak
	c := &cobra.Command{
		Use:   "soak",
		Short: "run for long while workers and links fail, and account for every message",
		Long: `soak starts gateways and workers as processes, on loopback, and makes load on them. Clients of all wire formats are mixed: lines, documents, frames, and
WebSocket without compression and with several windows. They have messages echoed, small and big ones, talk in rooms, hear broadcasts, come and go; some read
slowly or not at all. Meanwhile it kills, freezes and replaces workers, and cuts, slows down and corrupts links.

It begins with a table of what a gateway may hold, computed from its limits and the load. Each round ends with a line: the audit of its messages, the faults so
far, the most that each gateway has held, and what each process holds. It ends with exit code 1 when a message was lost, duplicated, reordered or changed, a
client that reads was disconnected, more newcomers were turned away than answered, a gateway held more than it may, or memory or descriptors grow.`,
		Example: `  sluice bench soak                          for ten minutes
  sluice bench soak --for 8h --log soak.log  over night, with what the processes logged
  sluice bench soak --calm                   the same load without faults
  sluice bench soak --codec ws,ws-deflate-9  clients of these formats alone`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	f := c.Flags()
	f.DurationVar(&o.For, "for", 0, "how long (default 10m)")
	f.DurationVar(&o.Round, "round", 0, "from one line to the next (default 1m, or --for where that is less)")
	f.DurationVar(&o.Every, "every", 0, "from one fault to the next (default 2s)")
	f.IntVar(&o.Gateways, "gateways", 0, "gateways (default 2)")
	f.IntVar(&o.Workers, "workers", 0, "workers (default 3)")
	f.VarP((*count)(&o.Conns), "conns", "c", "clients at a time, about (default 100)")
	f.StringSliceVar(&o.formats, "codec", nil, "what the clients speak: of text, json, jsonl, frame, ws, ws-deflate, and ws-deflate-9, -12, -15 with a window of so many bits (default all)")
	f.VarP((*rate)(&o.Rate), "rate", "R", "messages a second (default 2k)")
	f.Uint64Var(&o.Seed, "seed", 1, "of the order of the faults")
	f.BoolVar(&o.calm, "calm", false, "no faults")
	f.StringVar(&o.logs, "log", "", "a file for what the processes log")
	f.StringVar(&o.Binary, "binary", "", "the sluice program to soak (default: this one)")
	return c
}

func (o *benchSoak) run(c *cobra.Command) (err error) {
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return err
		}
	}
	o.Faults = !o.calm
	for _, name := range o.formats {
		f, err := bench.ParseWireFormat(name)
		if err != nil {
			return usageError{fmt.Errorf("--codec: %w", err)}
		}
		o.Formats = append(o.Formats, f)
	}
	if o.logs != "" {
		f, err := os.Create(o.logs)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		o.Log = f
	}
	if err = soak.Run(c.Context(), o.Options, os.Stdout); errors.Is(err, bench.ErrOptions) {
		return usageError{err}
	}
	return err
}
