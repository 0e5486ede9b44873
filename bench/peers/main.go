// Peers measures sluice and other servers with the same load, in turn and in one run, and writes a
// table of what each message costs the server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

var (
	errUsage  = errors.New("usage")            // exit code 2
	errFailed = errors.New("some runs failed") // exit code 1
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

// run measures, or is one of the servers.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "serve" {
		return serveCommand(ctx, args[1:])
	}
	var m measurement
	var only string
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.BoolVar(&m.short, "short", false, "measure for a few hundred milliseconds: a check that everything works")
	f.IntVar(&m.rounds, "rounds", 3, "how often to measure each server, in turn")
	f.StringVar(&only, "only", "", "NAME[,...]: measure these servers, and gnet")
	f.StringVar(&m.loops, "loops", "auto", "event loops of the servers that have them: a number or auto")
	f.StringVar(&m.out, "out", "_artifacts", "folder for runs.jsonl and table.md")
	f.BoolVar(&m.add, "add", false, "add rounds to those in the folder")
	f.StringVar(&m.sluice, "sluice", "", "the sluice program (default: build it from this tree)")
	f.StringVar(&m.scripts, "node", "node", "folder of the scripts for Node.js")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil || f.NArg() > 0 || m.rounds < 0:
		return fmt.Errorf("%w: peers [flags] | peers serve NAME [flags]: %w", errUsage, err)
	}
	var err error
	if m.peers, err = choose(only); err != nil {
		return err
	}
	if err := os.MkdirAll(m.out, 0o755); err != nil {
		return err
	}
	return m.measure(ctx)
}

// choose returns the peers with these names, and the floor; all without names.
func choose(only string) (chosen []peer, err error) {
	names := strings.Split(only, ",")
	for _, p := range peers() {
		if only == "" || p.name == floor || slices.Contains(names, p.name) {
			chosen = append(chosen, p)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name == p.name })
	}
	if only != "" && len(names) > 0 {
		return nil, fmt.Errorf("%w: there is no peer %q", errUsage, names[0])
	}
	return chosen, nil
}

func (m *measurement) file(name string) string { return filepath.Join(m.out, name) }
