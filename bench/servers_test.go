package bench_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// rawEnv makes this test binary a raw gnet echo server on the address it holds: the floor that the two-hop path is measured against.
const rawEnv = "SLUICE_BENCH_RAW"

func TestMain(m *testing.M) {
	if addr := os.Getenv(rawEnv); addr != "" {
		if err := gnet.Run(&rawEcho{addr: addr}, "tcp://"+addr, gnet.WithNumEventLoop(2)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

type rawEcho struct {
	gnet.BuiltinEventEngine
	addr string
}

func (e *rawEcho) OnBoot(gnet.Engine) gnet.Action {
	fmt.Println("ready text://" + e.addr)
	return gnet.None
}

func (*rawEcho) OnTraffic(c gnet.Conn) gnet.Action {
	b, err := c.Next(-1)
	if err == nil {
		_, err = c.Write(b)
	}
	if err != nil {
		return gnet.Close
	}
	return gnet.None
}

// sluiceBinary builds the program once a test.
func sluiceBinary(tb testing.TB) string {
	tb.Helper()
	bin := filepath.Join(tb.TempDir(), "sluice")
	if out, err := exec.Command("go", "build", "-o", bin, "sluice").CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// process is a server in a process of its own.
type process struct {
	pid   int
	addrs map[string]string // by scheme, from its ready line
}

// start runs a server until the test ends, and waits for its ready line.
func start(tb testing.TB, env []string, name string, args ...string) process {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			tb.Errorf("%s: %v", name, err)
		}
		cancel()
	})
	p := process{pid: cmd.Process.Pid, addrs: make(map[string]string)}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			for _, url := range strings.Fields(rest) {
				scheme, addr, _ := strings.Cut(url, "://")
				p.addrs[scheme] = strings.TrimSuffix(addr, "/")
			}
			return p
		}
	}
	tb.Fatalf("%s %v ended before it was ready", name, args)
	return p
}
