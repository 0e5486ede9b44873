package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/bench"
)

// benchShort says what each mode does.
var benchShort = map[bench.Mode]string{
	bench.Echo:      "every message comes back to its sender",
	bench.Idle:      "connections that say nothing: what each costs in memory",
	bench.Connect:   "dial, handshake, one echo and close, over and over",
	bench.Push:      "the server sends to one client, by uid",
	bench.Broadcast: "every message goes to all",
	bench.Rooms:     "every message goes to all in the sender's room",
	bench.Churn:     "an echo on connections that live for a few messages only",
	bench.Chat:      "people talking in rooms, against the chat",
}

func benchCommand(log *slog.Logger) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "make load and measure: throughput, latency, CPU per message, memory per connection, nothing lost",
		Long: `bench makes load on a gateway and its workers, which it starts as processes of their own, or on the servers that --target names.
With --rate it is an open loop: messages are due at fixed times, and latency counts from when they were due. Without, it is a closed loop.`,
		Example: `  sluice bench echo                                 1,000 WebSocket clients, one message in flight each
  sluice bench echo --codec text -P 16 -z 30s       text lines, 16 in flight, for 30 seconds
  sluice bench echo -R 10k --slo 'p99<5ms'          10,000 messages a second; exit code 99 when too slow
  sluice bench rooms -c 5000 --room-size 100        fan-out in rooms of 100
  sluice bench idle -c 15000                        memory per client
  sluice bench echo --target 127.0.0.1:9000 --pid other=4711   a server of another make`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, m := range bench.Modes {
		c.AddCommand(benchModeCommand(m))
	}
	c.AddCommand(benchServeCommand(log))
	return c
}

func benchModeCommand(m bench.Mode) *cobra.Command {
	b := benchRun{Options: bench.Options{Mode: m}}
	c := &cobra.Command{
		Use: string(m), Short: benchShort[m], Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return b.run(c) },
	}
	b.flags(c)
	return c
}

// benchRun is one run, as the command line asks for it.
type benchRun struct {
	bench.Options
	codec string
	pids  []string
}

func (b *benchRun) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&b.codec, "codec", string(bench.WebSocket), "text, json, jsonl, frame or ws")
	f.StringSliceVar(&b.Targets, "target", nil, "HOST:PORT[,…] of a running server; without it one is started")
	f.StringVar(&b.Path, "path", "/", "of the WebSocket handshake")
	f.VarP((*count)(&b.Conns), "conns", "c", "connections (default 1000)")
	f.IntVarP(&b.InFlight, "in-flight", "P", 1, "closed loop: messages in flight per sender")
	f.VarP((*rate)(&b.Rate), "rate", "R", "open loop: messages a second of all senders together, for example 10k")
	f.IntVarP(&b.Size, "size", "s", 128, "payload of a message, in bytes")
	f.DurationVarP(&b.Window, "duration", "z", 10*time.Second, "how long to measure")
	f.DurationVar(&b.Warmup, "warmup", 2*time.Second, "how long to run before that")
	f.DurationVar(&b.Drain, "drain", 5*time.Second, "how long to wait for the last messages")
	f.IntVar(&b.Loops, "loops", 0, "event loops of a generator (default: half the processors)")
	f.IntVar(&b.Processes, "processes", 0, "generators (default: as many as the descriptors ask for)")
	f.StringSliceVar(&b.Sources, "source", nil, "local addresses to dial from")
	f.StringSliceVar(&b.pids, "pid", nil, "NAME=PID[,…] of server processes to measure")
	f.StringVar(&b.Label, "label", "", "a name for this run in reports")
	switch b.Mode {
	case bench.Broadcast:
		f.IntVar(&b.Senders, "senders", 1, "connections that send")
	case bench.Rooms, bench.Chat:
		f.IntVar(&b.RoomSize, "room-size", 50, "members of a room")
	case bench.Churn:
		f.IntVar(&b.PerConn, "per-conn", 10, "messages in the life of a connection")
	}
	f.IntVar(&b.Servers.Gateways, "gateways", 1, "gateways to start")
	f.IntVar(&b.Servers.Workers, "workers", 1, "workers to start")
	f.StringVar(&b.Servers.Reactors, "reactors", "auto", "event loops of a gateway that is started")
	f.IntVar(&b.Servers.Procs, "worker-procs", 0, "processors for a worker that is started (GOMAXPROCS)")
}

// errBench is a run whose verdict is bad.
var errBench = errors.New("bench: the run failed")

func (b *benchRun) run(c *cobra.Command) error {
	b.Codec = bench.Codec(b.codec)
	for _, p := range b.pids {
		name, id, ok := strings.Cut(p, "=")
		pid, err := strconv.Atoi(id)
		if !ok || err != nil {
			return usageError{fmt.Errorf("--pid: %q is not NAME=PID", p)}
		}
		b.PIDs = append(b.PIDs, bench.PID{Name: name, PID: pid})
	}
	r, err := bench.Run(c.Context(), b.Options, func(m bench.Moment) {
		fmt.Fprintf(os.Stderr, "%6.1fs %10.0f/s  p50 %d µs  p99 %d µs  %v\n", m.At, m.Rate(), m.P50, m.P99, m.CPU)
	})
	if errors.Is(err, bench.ErrOptions) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	fmt.Printf("%+v\n%+v\n%+v\n%+v %+v\n", r.Verdict, r.Audit, r.Servers, r.Own, r.Rate)
	if r.Verdict.Failed {
		return errBench
	}
	return nil
}

func benchServeCommand(log *slog.Logger) *cobra.Command {
	o := options{log: log}
	c := &cobra.Command{
		Use: "serve", Short: "the server for the modes: a gateway and the bench's worker, or with --worker the worker alone", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.serve(c.Context(), bench.Worker{}, nil) },
	}
	o.clientFlags(c, "ws://127.0.0.1:7272", "text://127.0.0.1:7273")
	o.innerFlags(c, "127.0.0.1:0")
	o.workerFlags(c)
	return c
}

// count is a flag value that takes 10k and 1m.
type count int

func (n *count) Set(s string) error {
	v, err := parseSuffixed(s)
	*n = count(v)
	return err
}
func (n *count) String() string { return strconv.Itoa(int(*n)) }
func (*count) Type() string     { return "N" }

// rate is the same, and need not be whole.
type rate float64

func (r *rate) Set(s string) error {
	v, err := parseSuffixed(s)
	*r = rate(v)
	return err
}
func (r *rate) String() string { return strconv.FormatFloat(float64(*r), 'g', -1, 64) }
func (*rate) Type() string     { return "N/s" }

// parseSuffixed reads a number with an optional k for thousands or m for millions.
func parseSuffixed(s string) (float64, error) {
	factor := 1.0
	number := strings.ToLower(s)
	for suffix, f := range map[string]float64{"k": 1e3, "m": 1e6} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, factor = rest, f
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("%q is no number such as 500 or 10k", s)
	}
	return v * factor, nil
}
