package cli

import (
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// The help of the commands that run gateways and workers fits a terminal, and each flag has its
// topic.
func TestUsageByTopic(t *testing.T) {
	t.Parallel()
	root := command(slog.New(slog.DiscardHandler), nil)
	for _, path := range [][]string{{"chat"}, {"echo"}, {"gateway"}, {"bench", "serve"}} {
		c, _, err := root.Find(path)
		if err != nil {
			t.Fatal(err)
		}
		c.InitDefaultHelpFlag()
		help := helpOf(t, c)
		for _, want := range []string{
			"\nUsage:\n  sluice " + strings.Join(path, " "), "\nListeners:\n      --listen URL ",
			"\nDrain, after SIGTERM:\n", "  -h, --help ",
		} {
			if !strings.Contains(help, want) {
				t.Errorf("%v: the help has no %q", path, want)
			}
		}
		if strings.Contains(help, "\nOthers:") {
			t.Errorf("%v: a flag has no topic:\n%s", path, help)
		}
		for line := range strings.SplitSeq(help, "\n") {
			if utf8.RuneCountInString(line) > usageColumns || strings.Trim(line, ascii) != "" {
				t.Errorf("%v: too long, or not ASCII: %s", path, line)
			}
		}
	}
}

// ascii are the characters that a terminal of any kind shows.
var ascii = func() string {
	var b strings.Builder
	for c := ' '; c <= '~'; c++ {
		b.WriteRune(c)
	}
	return b.String()
}()

func helpOf(t *testing.T, c *cobra.Command) string {
	t.Helper()
	var b strings.Builder
	c.SetOut(&b)
	if err := c.Help(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
