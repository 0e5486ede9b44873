// Package cli is the sluice command. It parses the command line and starts gateways, workers and
// benchmarks.
package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/chat"
	"github.com/seed-7410fe32/sluice/internal/build"
	"github.com/seed-7410fe32/sluice/internal/logs"
	"github.com/seed-7410fe32/sluice/internal/sdnotify"
	"github.com/seed-7410fe32/sluice/worker"
)

// Time limits of the end of the process.
const (
	logCloseTimeout  = time.Second            // for writing the rest of the log
	logCloseAtOnce   = 100 * time.Millisecond // the same, after a second signal
	sameSignalWithin = 100 * time.Millisecond // within which bench takes two signals for one
)

// Main runs the command line of this process, os.Args, and returns the exit code. From then on it
// owns the signals, the standard output and the standard error of the process. SIGINT and SIGTERM
// start a drain. A second signal ends the process with exit code 128 plus the number of the signal.
func Main() (exitCode int) {
	// Catch signals first, so that a signal during the start drains the process as a later one
	// does.
	signals, hup := make(chan os.Signal, 2), make(hangUps, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(hup, syscall.SIGHUP)
	out := logs.New(os.Stderr)
	handler := logs.NewHandler(out)
	ctx, drain := context.WithCancel(context.Background())
	go func() {
		first := <-signals
		drain()
		_ = sdnotify.Send(sdnotify.Stopping) // for information only
		s, _ := nextSignal(signals, first).(syscall.Signal)
		handler.Flush()
		out.Close("", logCloseAtOnce)
		os.Exit(128 + int(s)) // as a shell reports it
	}()
	c, err := addConfig(command(slog.New(handler), hup)).ExecuteContextC(ctx)
	if o := optionsOf(c); o != nil {
		err = o.config.atSource(err)
	}
	last, code := outcome(c, err)
	handler.Flush()
	out.Close(handler.LastLine(last), logCloseTimeout)
	return code
}

// nextSignal returns the next signal. If the command is bench and the same signal comes again at
// once, it is ignored: timeout(1) sends it twice, to its child and to the process group, and the
// report would be lost.
func nextSignal(signals <-chan os.Signal, first os.Signal) os.Signal {
	since := time.Now()
	for s := range signals {
		if s != first || len(os.Args) < 2 || os.Args[1] != "bench" || time.Since(since) > sameSignalWithin {
			return s
		}
	}
	return nil
}

// outcome returns the last line of output of a command and its exit code.
func outcome(c *cobra.Command, err error) (last string, code int) {
	var usage usageError
	switch {
	case err == nil:
		return "", 0
	case errors.As(err, &usage):
		return fmt.Sprintf("sluice: %v\nRun '%s --help' for usage.\n", err, c.CommandPath()), 2
	case errors.Is(err, errSLO):
		code = sloExit
	default:
		code = 1
	}
	return fmt.Sprintf("sluice: %v\n", err), code
}

// usageError is an error of the command line. The exit code is 2.
type usageError struct{ error }

// Unwrap returns the cause.
func (e usageError) Unwrap() error { return e.error }

func command(log *slog.Logger, hup hangUps) *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "a gateway/worker engine for long-lived connections",
		Long: `sluice is an engine for long-lived client connections: gateways hold the clients, and your code
runs in workers. sluice chat is the place to start: a gateway and a worker in one process.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.Args = noArgs
	root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		err := configure(c)
		if !reloads(c) {
			hup.release()
		}
		return err
	}
	root.SetFlagErrorFunc(valueError)
	addGroup(root, "Servers:", chatCommand(log, hup), gatewayCommand(log, hup), echoCommand(log, hup))
	addGroup(root, "For operators of a gateway:", operatorCommands()...)
	root.AddCommand(benchCommand(log, hup), versionCommand())
	return root
}

// addGroup adds commands that stand together in the help.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
	}
	root.AddCommand(commands...)
}

// addConfig adds the commands about settings. They read the other commands, which are therefore
// made without them.
func addConfig(root *cobra.Command) *cobra.Command {
	root.AddCommand(configCommand())
	return root
}

func chatCommand(log *slog.Logger, hup hangUps) *cobra.Command {
	o := options{log: log, reload: hup, keepsChat: true}
	var addressRate int
	c := &cobra.Command{
		Use:   "chat",
		Short: "run the chat: a page on http://127.0.0.1:7272, and lines of text on 127.0.0.1:7273",
		Long: `Run the chat: a gateway and a worker in one process, or with --worker a worker only. The page is on
http://127.0.0.1:7272, and lines of text, commands or JSON, are on 127.0.0.1:7273.
` + clientHelp(),
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			business := func() (worker.Handler, error) { return chat.New(chat.Config{AddressRate: addressRate}) }
			return o.serve(c, business, chat.Page)
		},
	}
	o.gatewayFlags(c, "127.0.0.1:0")
	o.linkFlags(c)
	o.workerFlags(c)
	configFlags(c, &o)
	c.Flags().IntVar(&addressRate, "address-rate", 20,
		"`requests` that all clients of one address may make in a second, and ten times as many after a "+
			"quiet time; negative: any number")
	return c
}

func echoCommand(log *slog.Logger, hup hangUps) *cobra.Command {
	o := options{log: log, reload: hup}
	var e echo
	c := &cobra.Command{
		Use:   "echo",
		Short: "run an echo server, for tests and benchmarks",
		Long: `Run an echo server: every message goes back to its sender unchanged. It is a gateway and a worker in
one process, or with --worker a worker only.
` + clientHelp(),
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.serve(c, func() (worker.Handler, error) { return e.handler(), nil }, nil)
		},
	}
	o.gatewayFlags(c, "127.0.0.1:0")
	o.linkFlags(c)
	o.workerFlags(c)
	configFlags(c, &o)
	c.Flags().StringVar(&e.broadcastPrefix, "broadcast-prefix", "",
		"messages that begin with this `prefix` go unchanged to every client")
	return c
}

func gatewayCommand(log *slog.Logger, hup hangUps) *cobra.Command {
	o := options{log: log, reload: hup, keepsChat: true}
	var page bool
	c := &cobra.Command{
		Use:   "gateway",
		Short: "run a gateway only; workers connect to --inner",
		Long: `Run a gateway only. It holds the connections of clients and passes their messages to workers, which
connect to --inner.
` + clientHelp(),
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !page {
				return o.serveGateway(c, nil)
			}
			return o.serveGateway(c, chat.Page)
		},
	}
	o.gatewayFlags(c, "127.0.0.1:2300")
	o.linkFlags(c)
	configFlags(c, &o)
	c.Flags().BoolVar(&page, "chat-page", false, "serve the web page of the chat on ws and wss listeners")
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  noArgs,
		Run:   func(*cobra.Command, []string) { fmt.Println("sluice", version()) },
	}
}

// version returns the version that this program was built from, as far as the build has recorded
// it.
func version() string {
	v := build.Version()
	if v == "" {
		return "(unknown build)"
	}
	return v + " " + runtime.Version()
}

// noArgs refuses arguments. Those of a command that has subcommands are names of commands.
func noArgs(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !c.HasSubCommands():
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	c.SuggestionsMinimumDistance = 2 // in edits; cobra sets it only in errors of its own
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return usageError{fmt.Errorf("unknown command %q: did you mean %q?", args[0], near[0])}
	}
	return usageError{fmt.Errorf("unknown command %q", args[0])}
}
