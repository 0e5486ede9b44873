package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/soak"
)

type benchSoak struct {
	soak.Options
	logs     string
	noFaults bool
	formats  []string
}

func benchSoakCommand() *cobra.Command {
	var o benchSoak
	c := &cobra.Command{
		Use:   "soak",
		Short: "run for long while workers and links fail, and account for every message",
		Long: `soak starts gateways and workers as processes on loopback, and makes load on them. Clients of
all wire formats are mixed: lines, documents, frames, and WebSocket without compression and
with several windows. They echo small and large messages, talk in rooms, receive broadcasts,
connect and disconnect; some read slowly or not at all. Meanwhile soak kills, freezes and
replaces workers, and cuts, slows down and corrupts links.

It first prints how much memory a gateway may use, computed from its limits and the load. Each
round prints a line: the audit of its messages, the faults so far, the peak memory of each
gateway, and what each process holds. The exit code is 1 if a message was lost, duplicated,
reordered or changed, if a client that reads was disconnected, if more new connections were
rejected than answered, if a gateway used more memory than it may, or if memory or descriptors
grow.`,
		Example: `  sluice bench soak                          for ten minutes
  sluice bench soak --for 8h --log soak.log  over night, with the logs of the processes
  sluice bench soak --no-faults              the same load without faults
  sluice bench soak --codec ws,ws-deflate-9  only clients of these formats`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	f := c.Flags()
	for _, s := range o.Settings() {
		addSetting(f, s)
	}
	f.StringSliceVar(&o.formats, "codec", nil, "formats of the clients: text, json, jsonl, frame, ws, ws-deflate, "+
		"and ws-deflate-9, -12, -15 with a window of so many bits (default all)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the order of the faults")
	f.BoolVar(&o.noFaults, "no-faults", false, "cause no faults")
	f.BoolVar(&o.noFaults, "calm", false, "cause no faults")
	_ = f.MarkDeprecated("calm", "use --no-faults") // fails only for a flag that does not exist
	f.StringVar(&o.logs, "log", "", "file for the logs of the processes")
	f.StringVar(&o.Binary, "binary", "", "the sluice program to test (default: this one)")
	return c
}

func (o *benchSoak) run(c *cobra.Command) (err error) {
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return err
		}
	}
	o.Faults = !o.noFaults
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
