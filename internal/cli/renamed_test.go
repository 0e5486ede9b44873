package cli

import (
	"io"
	"log/slog"
	"strings"
	"testing"
)

// A bench command has its flags by the old names too.
func TestBenchKeepsItsFlags(t *testing.T) {
	t.Parallel()
	for old, now := range renamed {
		c := benchServeCommand(slog.New(slog.DiscardHandler), nil)
		arg := "--" + old
		if f := c.Flags().Lookup(now); f.Value.Type() != "bool" {
			arg += "=7"
			if f.Value.Type() == "duration" {
				arg += "s"
			}
		}
		if err := c.ParseFlags([]string{arg}); err != nil {
			t.Errorf("bench serve %s: %v", arg, err)
		}
		if !c.Flags().Changed(now) {
			t.Errorf("bench serve %s does not set --%s", arg, now)
		}
	}
}

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
				if last, code := outcome(c, err); code != 2 || err == nil || err.Error() != "--"+old+" is now --"+now {
					t.Errorf("sluice %s %s: exit code %d, %q", name, arg, code, last)
				}
				if c.Flags().Lookup(now) == nil || c.Flags().Lookup(old) != nil {
					t.Errorf("sluice %s: --%s has to exist, and --%s must not", name, now, old)
				}
			}
		}
	}
}

// A wrong command line ends with exit code 2 and says what is wrong in words of its own.
func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"nothing":                   `unknown command "nothing"`,
		"gatewey":                   `unknown command "gatewey": did you mean "gateway"?`,
		"bench ecco":                `unknown command "ecco": did you mean "echo"?`,
		"bench soak more":           `unexpected argument "more"`,
		"gateway --max-message 1MB": `--max-message: "1MB": must be a whole number`,
		"gateway --max-message 10000000000000000000000": `--max-message: "10000000000000000000000": out of range`,
		"chat --compress=perhaps":                       `--compress: "perhaps": must be true or false`,
	} {
		root := command(slog.New(slog.DiscardHandler), nil)
		root.SetArgs(strings.Fields(line))
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		c, err := root.ExecuteC()
		if _, code := outcome(c, err); code != 2 || err == nil || err.Error() != want {
			t.Errorf("sluice %s: exit code %d, %v, want %s", line, code, err, want)
		}
	}
}
