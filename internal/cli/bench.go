package cli

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
	"github.com/seed-7410fe32/sluice/worker"
)

// benchShort describes the modes.
var benchShort = map[bench.Mode]string{
	bench.Echo:      "every message comes back to its sender",
	bench.Idle:      "connections that send nothing: memory and CPU time of each",
	bench.Connect:   "dial, handshake, one echo and close, repeated",
	bench.Push:      "the server sends to one client, by UID",
	bench.Broadcast: "every message goes to all clients",
	bench.Rooms:     "every message goes to all clients in the sender's room",
	bench.Churn:     "an echo on connections that live for a few messages",
	bench.Chat:      "a realistic mix: users in rooms talk, whisper, leave, return and reconnect",
}

// benchLong adds to the description of a mode.
var benchLong = map[bench.Mode]string{
	bench.Chat: `Users log in, which binds their UID, join their room, and then act. Of 100 actions, 85 send
a message to the room, 10 send a private message to a neighbour by UID, with a copy to the
sender, 4 leave the room and return later, and 1 closes the connection and dials again.
With --rate the next user who is free does what is due. Without it, each user thinks for a
while after every answer (--think).
The audit is exact although users come and go. The worker is the bench's own, not that of
sluice chat, which limits rates.`,
	bench.Idle: `A gateway pings a silent WebSocket in each heartbeat, by default every 25 s: measure for a
multiple of that time.
The CPU time of a process includes what it uses without connections; this matters less the
more connections there are. CPU time is counted in ticks of 10 ms.`,
}

const benchHelp = `bench makes load on a gateway and its workers, which it starts as processes, or on
running servers (--target). With --rate it is an open loop: messages are due at fixed
times, and latency counts from the time a message was due. Without it, it is a closed loop.

Every message is accounted for. The last line of a report is the verdict:
  OK           everything sent arrived once, in order and unchanged; nothing failed
  INVALID      nothing failed, but the figures do not describe the servers: the generator
               was the limit or did not make the load, or other programs or the hypervisor
               took more than a tenth of the processors
  INTERRUPTED  the run was ended by Ctrl-C or SIGTERM; the figures cover the time until then
  FAILED       a message or a connection failed
The lines below it give the reasons. A run is also INVALID, with exit code 1, if the server
closed connections while the generator was the limit, or if no local port was left, and
nothing else failed: this proves nothing about the server.

The CPU time of other programs is known only if the server processes are known: those
that bench starts, and those named by --pid. Without --pid, and with a target on this
machine, other programs are not judged.

Latency covers the messages that were due within --duration; rates cover the time that was
measured. A run that is interrupted before it measures writes no report.
docs/bench-report.md explains each figure of a report.

Exit codes: 0 for OK and other INVALID runs, 1 for FAILED and INTERRUPTED, 2 for a wrong
command line, 99 if an objective (--slo) was missed.
` + templatesHelp

const benchExample = `  sluice bench echo                                 1,000 WebSocket clients, one message in flight each
  sluice bench echo --codec text -P 16 -z 30s       text lines, 16 in flight, for 30 seconds
  sluice bench echo -R 10k --slo 'p99<5ms'          10,000 messages a second; exit code 99 if p99 is 5 ms or more
  sluice bench rooms -c 5000 --room-size 100        fan-out in rooms of 100
  sluice bench chat -c 5000 --think 2s              users who talk, whisper, come and go
  sluice bench connect -R 500                       500 new connections a second
  sluice bench idle -c 15000                        memory and CPU time per client
  sluice bench echo --target 127.0.0.1:9000 --pid other=4711   another server
  sluice bench echo --target 'wss://chat.example/ws?room=1' --header 'Authorization: Bearer {line}' --data tokens.txt
  sluice bench echo --target ws://127.0.0.1:9000 --login login.txt --message '{"type":"say","text":"{message}"}'
  sluice bench echo --target tcp://127.0.0.1:7 --reply any -c 100   a server that does not send the message back`

func benchCommand(log *slog.Logger, hup hangUps) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "make load and measure throughput, latency, CPU time per message and memory per connection",
		Long:  benchHelp, Example: benchExample, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, m := range bench.Modes {
		c.AddCommand(benchModeCommand(m))
	}
	agent := benchSub("agent", "a generator in another process; a run starts it")
	agent.Hidden = true
	agent.RunE = func(c *cobra.Command, _ []string) error {
		return bench.ServeAgent(c.Context(), os.Stdin, os.Stdout)
	}
	c.AddCommand(benchCompareCommand(), benchTuneCommand(), benchSoakCommand(), benchServeCommand(log, hup), agent)
	return c
}

func benchServeCommand(log *slog.Logger, hup hangUps) *cobra.Command {
	o := options{log: log, reload: hup}
	serve := benchSub("serve", "a gateway and the bench's worker, or with --worker the worker alone")
	serve.RunE = func(c *cobra.Command, _ []string) error {
		return o.serve(c, func() (worker.Handler, error) { return bench.Worker(), nil }, nil)
	}
	o.gatewayFlags(serve, "127.0.0.1:0")
	o.linkFlags(serve)
	o.workerFlags(serve)
	acceptRenamed(serve)
	serve.Flags().IntVar(&o.window, "window", 0,
		"unacknowledged `bytes` from an event loop of a gateway to the worker (default 4 MiB)")
	return serve
}

func benchSub(name, short string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: noArgs}
}

func benchModeCommand(m bench.Mode) *cobra.Command {
	b := benchRun{Options: bench.Options{Mode: m}}
	c := benchSub(string(m), benchShort[m])
	c.Long = benchLong[m]
	c.RunE = func(c *cobra.Command, _ []string) error { return b.run(c) }
	b.flags(c)
	return c
}

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
	f.StringVar((*string)(&b.Codec), "codec", "", "text, json, jsonl, frame or ws (default: ws; text for tcp and tls)")
	b.targetFlags(c)
	for _, s := range b.Settings() {
		if s.In(b.Mode) {
			addSetting(f, s)
		}
	}
	f.StringSliceVar(&b.pids, "pid", nil, "NAME=PID[,...] of server processes to measure")
	f.StringArrayVar(&b.objectives, "slo", nil,
		"an objective such as p99<5ms, rate>10k, errors<0.1% or cpu<20us; repeatable; exit code 99 if it is missed")
	b.out.flags(c)
	f.StringVar(&b.Label, "label", "", "name of the run in reports")
	f.StringVar(&b.Servers.Binary, "binary", "", "the sluice program to start servers from (default: this one)")
	f.StringVar(&b.Servers.Reactors, "reactors", "auto", "event loops of a gateway that is started")
	f.BoolVar(&b.Servers.Pin, "pin", false, "bind each event loop of a gateway that is started to a processor")
}

// Errors for the exit codes of a bench.
var (
	errBench = errors.New("bench: the run failed")          // 1
	errSLO   = errors.New("bench: an objective was missed") // sloExit
)

// sloExit is the exit code of a missed objective, as in k6.
const sloExit = 99

func (b *benchRun) run(c *cobra.Command) error {
	if err := b.parse(c); err != nil {
		return usageError{err}
	}
	watch, stop := watch(c.Context(), os.Stderr, b.Options)
	r, err := bench.Run(c.Context(), b.Options, watch)
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

// parse checks the flags, and parses those that are not numbers.
func (b *benchRun) parse(c *cobra.Command) error {
	b.Codec = cmp.Or(b.Codec, bench.DefaultCodec(b.Targets))
	if err := b.target.parse(&b.Options); err != nil {
		return err
	}
	for _, p := range b.pids {
		name, id, ok := strings.Cut(p, "=")
		pid, err := strconv.Atoi(id)
		if !ok || err != nil {
			return fmt.Errorf("--pid: %q: must be NAME=PID", p)
		}
		b.PIDs = append(b.PIDs, bench.PID{Name: name, PID: pid})
	}
	for _, text := range b.objectives {
		o, err := report.ParseSLO(text)
		if err != nil {
			return fmt.Errorf("--slo: %s", strings.TrimPrefix(err.Error(), "report: "))
		}
		b.slos = append(b.slos, o)
	}
	if c.Flags().Changed("target") && len(b.Targets) == 0 {
		return errors.New("--target: must not be empty")
	}
	for _, name := range []string{"gateways", "workers", "reactors", "pin", "worker-procs"} {
		if len(b.Targets) > 0 && c.Flags().Changed(name) {
			return fmt.Errorf("--%s applies to servers that bench starts, and with --target it starts none", name)
		}
	}
	return b.out.check()
}

// judge prints the objectives, and returns the error for the exit code.
func (b *benchRun) judge(r *bench.Report) (err error) {
	for _, o := range b.slos {
		measured, ok := o.Check(r)
		word := "kept  "
		if !ok {
			word, err = "MISSED", errSLO
		}
		fmt.Fprintf(os.Stderr, "%s  %s (%s)\n", word, o, measured)
	}
	if r.Verdict.Failed {
		return errBench
	}
	return err
}
