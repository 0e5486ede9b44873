package cli

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/worker"
)

// offBelowZero are the flags of a limit that a negative number turns off.
var offBelowZero = []string{
	"admin-publish-rate", "adopt-rate", "byte-rate", "connect-rate", "drain-delay", "first-message-timeout", "heartbeat",
	"idle-timeout",
	"jwt-leeway", "max-conns", "max-per-ip", "max-takeover-bytes", "message-rate", "message-timeout", "tls-handshake-rate",
	"write-timeout",
}

// checked returns the error of a command line of a gateway with a worker. Nothing is opened.
func checked(args ...string) (*pflag.FlagSet, error) {
	o := options{log: slog.New(slog.DiscardHandler)}
	c := &cobra.Command{Use: "test"}
	o.gatewayFlags(c, "127.0.0.1:0")
	o.linkFlags(c)
	o.workerFlags(c)
	if err := c.ParseFlags(args); err != nil {
		return c.Flags(), err
	}
	err := cmp.Or(noZeros(c.Flags()), o.checkRole(c.Flags()))
	if err == nil {
		_, err = o.newGateway(nil, nil)
	}
	if err == nil {
		_, err = o.newWorker(worker.Handler{}, "", nil, []string{"127.0.0.1:1"})
	}
	return c.Flags(), err
}

// A number of 0 is accepted if it is the default; the help says what it means. A negative number
// turns a limit off, or is refused. The error names the flag.
func TestNumbersOfFlags(t *testing.T) {
	t.Parallel()
	all, err := checked()
	if err != nil {
		t.Fatal(err)
	}
	numbers := 0
	all.VisitAll(func(f *pflag.Flag) {
		unit := map[string]string{"int": "", "duration": "ns"}
		suffix, ok := unit[f.Value.Type()]
		if !ok {
			return
		}
		numbers++
		for n, accepted := range map[string]bool{
			"0": f.DefValue == "0" || f.DefValue == "0s", "-1": slices.Contains(offBelowZero, f.Name),
		} {
			_, err := checked("--" + f.Name + "=" + n + suffix)
			switch {
			case accepted && err != nil:
				t.Errorf("--%s=%s: %v", f.Name, n, err)
			case !accepted && (err == nil || !strings.HasPrefix(err.Error(), "--"+f.Name+": ")):
				t.Errorf("--%s=%s: %v, want an error that names it", f.Name, n, err)
			}
			if accepted && !strings.Contains(f.Usage, "0: ") && n == "0" {
				t.Errorf("--%s: the help does not say what 0 means: %s", f.Name, f.Usage)
			}
		}
	})
	if numbers < 25 {
		t.Errorf("%d flags are numbers: that cannot be all", numbers)
	}
	for _, name := range offBelowZero {
		if all.Lookup(name) == nil {
			t.Errorf("there is no --%s", name)
		}
	}
}
