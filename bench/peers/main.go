// Peers measures sluice beside other makes: the same load on each in turn, in one run, and a table of what it cost the servers.
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

// Why the program ends with another exit code than 0.
var (
	errUsage  = errors.New("usage")            // 2
	errFailed = errors.New("some runs failed") // 1
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

// run measures, or serves as the child of a measurement.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "serve" {
		return serveCommand(ctx, args[1:])
	}
	var m measurement
	var only string
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.BoolVar(&m.short, "short", false, "a few hundred milliseconds each: shows that everything works, and no speed")
	f.IntVar(&m.rounds, "rounds", 3, "how often each is measured, in turn")
	f.StringVar(&only, "only", "", "NAME[,…]: these, and gnet")
	f.StringVar(&m.loops, "loops", "auto", "event loops of the servers that have such, sluice's gateway among them: a number or auto")
	f.StringVar(&m.out, "out", "_artifacts", "folder for runs.jsonl and table.md")
	f.BoolVar(&m.add, "add", false, "add rounds to those that the folder holds")
	f.StringVar(&m.sluice, "sluice", "", "the sluice program (default: built from this tree)")
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

// choose returns the peers named, and the floor.
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

// file is a file of the folder for results.
func (m *measurement) file(name string) string { return filepath.Join(m.out, name) }
