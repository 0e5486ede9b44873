package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/bench"
)

// foreignCommands are programs with flags of their own.
var foreignCommands = []string{"grep ", "npm ", "curl ", "kubectl ", "podman ", "systemctl ", "--from-literal="}

// Flags that documents name are flags of some command, and in its help.
func TestFlagsInDocuments(t *testing.T) {
	t.Parallel()
	known := map[string]bool{
		"help":             true, // cobra's own
		"exit-with-parent": true, // hidden: the parent of workers gives it to them
	}
	note(command(slog.New(slog.DiscardHandler), nil), known)
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "bench/peers/README.md",
	} {
		names = append(names, "../../"+name)
	}
	flag, found := regexp.MustCompile("(?m)(?:^|[ `(])--([a-z][a-z-]*)"), 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at, l := range strings.Split(string(text), "\n") {
			if slices.ContainsFunc(foreignCommands, func(c string) bool { return strings.Contains(l, c) }) {
				continue // theirs
			}
			for _, m := range flag.FindAllStringSubmatch(l, -1) {
				if found++; !known[m[1]] {
					t.Errorf("%s:%d: no command has --%s", strings.TrimPrefix(name, "../../"), at+1, m[1])
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("%d flags found: that cannot be all", found)
	}
}

// note enters the flags of a command and of those below it that its help shows.
func note(c *cobra.Command, known map[string]bool) {
	enter := func(f *pflag.Flag) { known[f.Name] = known[f.Name] || !f.Hidden }
	c.Flags().VisitAll(enter)
	c.PersistentFlags().VisitAll(enter)
	for _, below := range c.Commands() {
		note(below, known)
	}
}

// A flag of a bench run accepts 0 where that is the default, means none or leaves the choice to the
// program. Other flags refuse it.
func TestBenchFlagsAcceptZero(t *testing.T) {
	t.Parallel()
	refused := "conns duration gateways in-flight per-conn room-size senders size workers"
	for _, m := range bench.Modes {
		for _, s := range (&bench.Options{Mode: m}).Settings() {
			if s.Usage == "" {
				continue
			}
			err := settingFlag{s}.Set("0")
			if want := slices.Contains(strings.Fields(refused), s.Name); (err != nil) != want {
				t.Errorf("bench %s --%s 0: %v", m, s.Name, err)
			}
		}
	}
}

// Handlers beside event loops have a processor of the Go runtime, whatever --reactors is.
func TestProcessorsFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ loops, now, want int }{{1, 2, 2}, {7, 8, 8}, {1, 1, 2}, {2, 2, 4}, {8, 4, 16}} {
		if got := processorsFor(c.loops, c.now); got != c.want {
			t.Errorf("%d loops and %d processors: %d, want %d", c.loops, c.now, got, c.want)
		}
	}
}
