package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// terminal is a pseudo-terminal of 100 columns. What is written to inside can be read from outside.
func terminal(t *testing.T) (inside, outside *os.File) {
	t.Helper()
	outside, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("NOT TESTED: there are no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { _ = outside.Close() })
	if err := unix.IoctlSetPointerInt(int(outside.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(outside.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	inside, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(inside.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return inside, outside
}

// TestBenchLive checks the progress of a run on a terminal: it is drawn in place, and leaves only
// the report and a visible cursor, also when the run is interrupted.
func TestBenchLive(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for name, c := range map[string]struct {
		window    string
		interrupt bool
	}{"to the end": {"1s", false}, "interrupted": {"1h", true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inside, outside := terminal(t)
			cmd := exec.CommandContext(t.Context(), bin, "bench", "echo", "-c", "10", "--warmup", "200ms", "-z", c.window)
			cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=1")
			var report strings.Builder
			cmd.Stderr, cmd.Stdout = inside, &report
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = inside.Close() // the reading ends when the program has ended
			var screen strings.Builder
			b := make([]byte, 4<<10)
			for interrupted := false; ; {
				n, err := outside.Read(b)
				screen.Write(b[:n])
				if c.interrupt && !interrupted && strings.Contains(screen.String(), "p50 ") {
					interrupted = true
					if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
						t.Fatal(err)
					}
				}
				if err != nil { // EIO, when nobody has the other side open
					break
				}
			}
			err := cmd.Wait()
			if (err != nil) != c.interrupt || wentWell(report.String()) == c.interrupt ||
				c.interrupt && !strings.Contains(report.String(), "\n  the run was ended after ") {
				t.Errorf("%v\n%s", err, &report)
			}
			got := screen.String()
			if !strings.Contains(got, "\x1b[?25l") || !strings.Contains(got, "warm-up   █") ||
				!strings.Contains(got, "\x1b[6A") {
				t.Errorf("nothing was drawn in place: %q", got)
			}
			if i := strings.LastIndex(got, "\x1b[J\x1b[?25h"); i < strings.LastIndex(got, "\x1b[?25l") {
				t.Errorf("the cursor is not there any more: %q", got)
			}
		})
	}
}
