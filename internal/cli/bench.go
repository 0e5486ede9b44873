package cli

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
	"github.com/seed-7410fe32/sluice/worker"
)

// benchShort says what each mode does.
var benchShort = map[bench.Mode]string{
	bench.Echo:      "every message comes back to its sender",
	bench.Idle:      "connections that say nothing: what each costs in memory and CPU time",
	bench.Connect:   "dial, handshake, one echo and close, over and over",
	bench.Push:      "the server sends to one client, by uid",
	bench.Broadcast: "every message goes to all",
	bench.Rooms:     "every message goes to all in the sender's room",
	bench.Churn:     "an echo on connections that live for a few messages only",
	bench.Chat:      "a realistic mix: people in rooms talk, whisper, leave and come back, and connect anew",
}

// benchLong says more where that is not all.
var benchLong = map[bench.Mode]string{
	bench.Chat: `People log in, which binds their uid, join their room, and then do one thing after the other. Of a hundred things 85 are said to the room, 10 are private messages
to a neighbour, by uid, of which the sender gets a copy, 4 are a leave with the return a while later, and 1 is a connection given up and made anew.
With --rate the next who is free does what is due; without, each thinks for a while after every answer (--think).
The audit holds although people come and go: see go doc ./bench and bench/chat.go. The worker is the bench's own, not the chat's, which limits rates.`,
	bench.Idle: `A gateway pings a WebSocket that stays silent in each heartbeat, of 25 s by default: measure for a multiple of that, or what is left out counts for nothing.
A process's CPU time is told with what it takes without any connection: the more there are the less that matters. Clock ticks of 10 ms are the unit it is read in.`,
}

func benchCommand(log *slog.Logger, hup hangUps) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "make load and measure: throughput, latency, CPU per message, memory per connection, nothing lost",
		Long: `bench makes load on a gateway and its workers, which it starts as processes of their own, or on the servers that --target names.
With --rate it is an open loop: messages are due at fixed times, and latency counts from when they were due. Without, it is a closed loop.

Every message is accounted for. The last line of a report is its verdict:
  OK           all that was sent arrived, once, in order, unchanged; nothing failed
  INVALID      the same, but the figures are not the servers': the generator was the limit, or could not make the load, or other programs or the hypervisor took more than a
               tenth of the processors
  INTERRUPTED  the same, but the run was ended, with Ctrl-C or SIGTERM: the figures are those until then
  FAILED       not so
The lines below it say why. INVALID is also a run in which the server closed connections while the generator was the limit, or no local port was left for a connection, if
nothing else failed: that proves nothing about the server. The exit code of that one is 1.
What other programs took is told from the servers' part only where their processes are known: those that bench starts, and those that --pid names. Without --pid, and with a
target on this machine, other programs are not judged.
Latency is of the messages that were due within --duration; rates are over the time that was measured. A run that is interrupted before it measures leaves no report.
docs/bench-report.md says what each figure of a report means.
The exit code is 0 for OK and INVALID, 99 when an objective (--slo) was missed, 1 for INTERRUPTED and FAILED, 2 for a command line that makes no sense.
` + templatesHelp,
		Example: `  sluice bench echo                                 1,000 WebSocket clients, one message in flight each
  sluice bench echo --codec text -P 16 -z 30s       text lines, 16 in flight, for 30 seconds
  sluice bench echo -R 10k --slo 'p99<5ms'          10,000 messages a second; exit code 99 when too slow
  sluice bench rooms -c 5000 --room-size 100        fan-out in rooms of 100
  sluice bench chat -c 5000 --think 2s              people who talk, whisper, come and go
  sluice bench connect -R 500                       500 new connections a second, and how long each takes to its first echo
  sluice bench idle -c 15000                        memory and CPU time per client
  sluice bench echo --target 127.0.0.1:9000 --pid other=4711   a server of another make
  sluice bench echo --target 'wss://chat.example/ws?room=1' --header 'Authorization: Bearer {line}' --data tokens.txt
  sluice bench echo --target ws://127.0.0.1:9000 --login login.txt --message '{"type":"say","text":"{message}"}'
  sluice bench echo --target tcp://127.0.0.1:7 --reply any -c 100        a server that answers, but not with what was sent`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, m := range bench.Modes {
		c.AddCommand(benchModeCommand(m))
	}
	c.AddCommand(benchCompareCommand(), benchTuneCommand(), benchSoakCommand(), benchServeCommand(log, hup), benchAgentCommand())
	return c
}

func benchModeCommand(m bench.Mode) *cobra.Command {
	b := benchRun{Options: bench.Options{Mode: m, Conns: 1000}}
	c := &cobra.Command{
		Use: string(m), Short: benchShort[m], Long: benchLong[m], Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return b.run(c) },
	}
	b.flags(c)
	return c
}

// benchRun is one run, as the command line asks for it.
type benchRun struct {
	bench.Options
	pids       []string
	objectives []string
	slos       []report.SLO
	target     benchTarget
	out        benchOutput
}

func (b *benchRun) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar((*string)(&b.Codec), "codec", "", "text, json, jsonl, frame or ws (default: ws; of a tcp or tls target text)")
	b.targetFlags(c)
	f.VarP((*count)(&b.Conns), "conns", "c", "connections")
	if b.Mode == bench.Chat {
		f.DurationVar(&b.Think, "think", time.Second, "closed loop: how long a person thinks after an answer, on average")
	} else if b.Mode != bench.Idle {
		f.IntVarP(&b.InFlight, "in-flight", "P", 1, "closed loop: messages in flight per sender")
	}
	due := "messages a second of all senders together"
	if b.Mode == bench.Connect {
		due = "connections a second, of which --conns can be on their way"
	}
	if b.Mode != bench.Idle && b.Mode != bench.Churn {
		f.VarP((*rate)(&b.Rate), "rate", "R", "open loop: "+due+", for example 10k")
	}
	if b.Mode != bench.Idle {
		f.IntVarP(&b.Size, "size", "s", 128, "payload of a message, in bytes")
		f.DurationVar(&b.Drain, "drain", 5*time.Second, "how long to wait for the last messages")
	}
	f.DurationVarP(&b.Window, "duration", "z", 0, "how long to measure (default: 10s, of idle connections 25s)")
	f.DurationVar(&b.Warmup, "warmup", 2*time.Second, "how long to run before that")
	f.IntVar(&b.Loops, "loops", 0, "event loops of a generator (default: half the processors)")
	f.IntVar(&b.Processes, "processes", 0, "generators (default: as many as the descriptors ask for)")
	f.StringSliceVar(&b.pids, "pid", nil, "NAME=PID[,…] of server processes to measure")
	f.StringArrayVar(&b.objectives, "slo", nil, "an objective such as p99<5ms, rate>10k, errors<0.1%, cpu<20us; repeatable; exit code 99 when missed")
	b.out.flags(c)
	f.StringVar(&b.Label, "label", "", "a name for this run in reports")
	switch b.Mode {
	case bench.Broadcast:
		f.IntVar(&b.SlowReaders, "slow-readers", 0, slowUsage)
		f.IntVar(&b.Senders, "senders", 1, "connections that send")
	case bench.Rooms, bench.Chat:
		f.IntVar(&b.SlowReaders, "slow-readers", 0, slowUsage)
		f.IntVar(&b.RoomSize, "room-size", 50, "members of a room")
	case bench.Churn:
		f.IntVar(&b.PerConn, "per-conn", 10, "messages in the life of a connection")
	}
	f.StringVar(&b.Servers.Binary, "binary", "", "the sluice program to start servers from, for comparing two builds (default: this one)")
	f.IntVar(&b.Servers.Gateways, "gateways", 1, "gateways to start")
	f.IntVar(&b.Servers.Workers, "workers", 1, "workers to start")
	f.StringVar(&b.Servers.Reactors, "reactors", "auto", "event loops of a gateway that is started")
	f.BoolVar(&b.Servers.Pin, "pin", false, "tie each event loop of a gateway that is started to a processor")
	f.IntVar(&b.Servers.Procs, "worker-procs", 0, "processors for a worker that is started (GOMAXPROCS)")
}

const slowUsage = "further connections that read nothing: are they cut off, and when? Not part of the audit"

// Why a bench ends with another exit code than 0.
var (
	errBench = errors.New("bench: the run failed")               // 1
	errSLO   = errors.New("bench: an objective has been missed") // sloExit
)

// sloExit is the exit code of a missed objective, as k6 has it.
const sloExit = 99

func (b *benchRun) run(c *cobra.Command) error {
	if err := b.parse(c); err != nil {
		return usageError{err}
	}
	moment, stop := watch(c.Context(), os.Stderr, b.Options)
	r, err := bench.Run(c.Context(), b.Options, moment)
	stop()
	if errors.Is(err, bench.ErrOptions) {
		return usageError{err}
	}
	if r == nil {
		return err
	}
	if err := b.out.write(r); err != nil {
		return err
	}
	verdict := b.judge(r)
	return cmp.Or(err, verdict)
}

// parse reads the flags that have a form of their own.
func (b *benchRun) parse(c *cobra.Command) error {
	if b.Codec == "" {
		b.Codec = bench.DefaultCodec(b.Targets)
	}
	if err := cmp.Or(b.zeros(c), b.target.parse(&b.Options)); err != nil {
		return err
	}
	for _, p := range b.pids {
		name, id, ok := strings.Cut(p, "=")
		pid, err := strconv.Atoi(id)
		if !ok || err != nil {
			return fmt.Errorf("--pid: %q is not NAME=PID", p)
		}
		b.PIDs = append(b.PIDs, bench.PID{Name: name, PID: pid})
	}
	for _, text := range b.objectives {
		o, err := report.ParseSLO(text)
		if err != nil {
			return fmt.Errorf("--slo: %w", err)
		}
		b.slos = append(b.slos, o)
	}
	return cmp.Or(b.startsNothing(c), b.out.check())
}

// startsNothing refuses with a target what only servers that are started have; an empty one is no reason to start some.
func (b *benchRun) startsNothing(c *cobra.Command) error {
	if c.Flags().Changed("target") && len(b.Targets) == 0 {
		return errors.New("--target is empty")
	}
	for _, name := range []string{"gateways", "workers", "reactors", "pin", "worker-procs"} {
		if len(b.Targets) > 0 && c.Flags().Changed(name) {
			return fmt.Errorf("--%s is of servers that are started, and with --target none is", name)
		}
	}
	return nil
}

// zeros has nothing mean nothing where it is asked for: in the options it means the default.
func (b *benchRun) zeros(c *cobra.Command) error {
	for name, d := range map[string]*time.Duration{"warmup": &b.Warmup, "drain": &b.Drain, "think": &b.Think} {
		if c.Flags().Changed(name) && *d == 0 {
			*d = -1 // none
		}
	}
	for _, name := range []string{"conns", "in-flight", "size", "duration", "senders", "room-size", "per-conn", "gateways", "workers"} {
		if flag := c.Flags().Lookup(name); flag != nil && flag.Changed && strings.TrimSuffix(flag.Value.String(), "s") == "0" {
			return fmt.Errorf("--%s: %s is too little", name, flag.Value)
		}
	}
	return nil
}

// judge is the error that the run's end is worth.
func (b *benchRun) judge(r *bench.Report) error {
	var missed error
	for _, o := range b.slos {
		measured, ok := o.Check(r)
		if ok {
			fmt.Fprintf(os.Stderr, "kept    %s (%s)\n", o, measured)
			continue
		}
		fmt.Fprintf(os.Stderr, "MISSED  %s (%s)\n", o, measured)
		missed = errSLO
	}
	if r.Verdict.Failed {
		return errBench
	}
	return missed
}

func benchServeCommand(log *slog.Logger, hup hangUps) *cobra.Command {
	o := options{log: log, reload: hup}
	c := &cobra.Command{
		Use: "serve", Short: "run the server for the modes: a gateway and the bench's worker, or with --worker the worker only", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.serve(c, func() (worker.Handler, error) { return bench.Worker(), nil }, nil)
		},
	}
	o.gatewayFlags(c, "127.0.0.1:0")
	o.linkFlags(c)
	o.workerFlags(c)
	acceptRenamed(c)
	c.Flags().IntVar(&o.window, "window", 0, "`bytes` that an event loop of a gateway may have sent without an acknowledgement (default 4 MiB)")
	return c
}

// benchAgentCommand is what a run starts when one generator is not enough.
func benchAgentCommand() *cobra.Command {
	return &cobra.Command{
		Use: "agent", Short: "a generator for a run in another process", Hidden: true, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return bench.ServeAgent(c.Context(), os.Stdin, os.Stdout) },
	}
}

// count is a flag value that takes 10k and 1m.
type count int

func (n *count) Set(s string) error {
	v, err := parseSuffixed(s)
	if err == nil && v != math.Trunc(v) {
		err = fmt.Errorf("%q is no whole number", s)
	}
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

// parseSuffixed reads a number with an optional k or m that an int holds.
func parseSuffixed(s string) (float64, error) {
	v, err := report.ParseNumber(s)
	if err == nil && v > math.MaxInt32 {
		return 0, fmt.Errorf("%q is no number such as 500 or 10k", s)
	}
	return v, err
}
