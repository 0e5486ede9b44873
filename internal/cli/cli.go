// Package cli is the sluice command: what its command line says, and the gateways, workers and benches that it starts.
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
	"github.com/seed-7410fe32/sluice/worker"
)

// How long the end of the process waits for the log, which flows or does not.
const (
	logCloseTimeout = time.Second
	sameSignalWithin    = 100 * time.Millisecond // after a second signal; also within which two are one
)

// Main runs the command line of this process, os.Args, to its end and returns the exit code. The process's signals, standard output and standard error are its own from
// here on. SIGINT or SIGTERM has it drain. The second one ends the process here, with 128 and the signal's number.
func Main() (exitCode int) {
	// Signals are taken before anything else: what comes while the program starts must not end it where a moment later it would not.
	signals, hup := make(chan os.Signal, 2), make(hangUps, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(hup, syscall.SIGHUP)
	out := logs.New(os.Stderr)
	ctx, drain := context.WithCancel(context.Background())
	go func() {
		first := <-signals
		drain()
		s, _ := nextSignal(signals, first).(syscall.Signal)
		out.Close("", sameSignalWithin)
		os.Exit(128 + int(s)) // as the shell has it
	}()
	c, err := command(slog.New(slog.NewTextHandler(out, nil)), hup).ExecuteContextC(ctx)
	last, code := outcome(c, err)
	out.Close(last, logCloseTimeout)
	return code
}

// nextSignal is the next signal. A bench takes the same one, when it comes at once, for the first: timeout(1) sends it twice, to its child and to the group that this is in, and the
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

// outcome is the last line of a command and its exit code.
func outcome(c *cobra.Command, err error) (last string, code int) {
	var usage usageError
	switch {
	case err == nil:
		return "", 0
	case errors.As(err, &usage):
		return fmt.Sprintf("sluice: %v\nRun '%s --help' for what there is.\n", err, c.CommandPath()), 2
	case errors.Is(err, errSLO):
		code = sloExit
	default:
		code = 1
	}
	return fmt.Sprintf("sluice: %v\n", err), code
}

// usageError is a command line that cannot be carried out.
type usageError struct{ error }

func command(log *slog.Logger, hup hangUps) *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "a gateway/worker engine for long-lived connections",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.Args = noArgs
	root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	root.PersistentPreRun = func(c *cobra.Command, _ []string) {
		if !reloads(c) {
			hup.release()
		}
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(chatCommand(log, hup), echoCommand(log, hup), gatewayCommand(log), benchCommand(log, hup), versionCommand())
	return root
}

func chatCommand(log *slog.Logger, hup hangUps) *cobra.Command {
	o := options{log: log, reload: hup}
	c := &cobra.Command{
		Use:   "chat",
		Short: "the chat: page and WebSocket on http://127.0.0.1:7272, text lines, commands or JSON, on 127.0.0.1:7273",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.serve(c, newChat, chat.Page)
		},
	}
	o.gatewayFlags(c, "127.0.0.1:0")
	o.innerFlags(c)
	o.workerFlags(c)
	return c
}

func newChat() (worker.Handler, error) {
	history, err := chat.NewHistory()
	if err != nil {
		return worker.Handler{}, err
	}
	return chat.New(history)
}

func echoCommand(log *slog.Logger, hup hangUps) *cobra.Command {
	o := options{log: log, reload: hup}
	var e echo
	c := &cobra.Command{
		Use:   "echo",
		Short: "an echo: every message goes back to its sender unchanged, for tests, conformance and benchmarks",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.serve(c, func() (worker.Handler, error) { return e.handler(), nil }, nil)
		},
	}
	o.gatewayFlags(c, "127.0.0.1:0")
	o.innerFlags(c)
	o.workerFlags(c)
	c.Flags().StringVar(&e.broadcastPrefix, "broadcast-prefix", "", "messages that begin with this go unchanged to every client")
	return c
}

func gatewayCommand(log *slog.Logger) *cobra.Command {
	o := options{log: log}
	var page bool
	c := &cobra.Command{
		Use:   "gateway",
		Short: "a gateway alone; workers connect to its inner port",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := noZeros(c.Flags()); err != nil {
				return err
			}
			if !page {
				return o.serveGateway(c, nil)
			}
			return o.serveGateway(c, chat.Page)
		},
	}
	o.gatewayFlags(c, "127.0.0.1:2300")
	o.innerFlags(c)
	c.Flags().BoolVar(&page, "chat-page", false, "serve the chat's page on ws listeners")
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "what this binary was built from",
		Args:  noArgs,
		Run:   func(*cobra.Command, []string) { fmt.Println("sluice", version()) },
	}
}

// version is what this program was built from, as far as the build recorded it.
func version() string {
	v := build.Version()
	if v == "" {
		return "(unknown build)"
	}
	return v + " " + runtime.Version()
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%q is not understood", args[0])}
	}
	return nil
}
