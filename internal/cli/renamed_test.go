package cli

import (
	"io"
	"log/slog"
	"testing"
)

// An old name of a flag ends the command with exit code 2 and names the new one, which exists.
func TestRenamedFlags(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"chat", "echo", "gateway"} {
		for old, now := range renamed {
			for _, arg := range []string{"--" + old, "--" + old + "=1"} {
				root := command(slog.New(slog.DiscardHandler), nil)
				root.SetArgs([]string{name, arg})
				root.SetOut(io.Discard)
				root.SetErr(io.Discard)
				c, err := root.ExecuteC()
				if last, code := verdict(c, err); code != 2 || err == nil || err.Error() != "--"+old+" is now --"+now {
					t.Errorf("sluice %s %s: exit code %d, %q", name, arg, code, last)
				}
				if c.Flags().Lookup(now) == nil || c.Flags().Lookup(old) != nil {
					t.Errorf("sluice %s: --%s has to exist, and --%s must not", name, now, old)
				}
			}
		}
	}
}
