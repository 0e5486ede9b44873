// Package proctest runs the program's processes in tests: real ones, that can be killed.
package proctest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Build builds the program and returns where it is.
func Build(tb testing.TB) string {
	tb.Helper()
	bin := filepath.Join(tb.TempDir(), "sluice")
	if out, err := exec.Command("go", "build", "-o", bin, "sluice").CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// Process is a running program that has said it is ready.
type Process struct {
	PID   int
	Addrs map[string]string // host:port by scheme, from its ready line

	tb   testing.TB
	cmd  *exec.Cmd
	once sync.Once
	err  error // of Wait
}

// readyWithin is how long a process may take to its ready line.
const readyWithin = 20 * time.Second

// Start runs a program and waits for the line on its standard output that begins with "ready". It is ended with the test.
// Its standard error goes to the test's log when the test fails.
func Start(tb testing.TB, env []string, name string, args ...string) *Process {
	tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	logs, err := os.CreateTemp(tb.TempDir(), "stderr")
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stderr = logs
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &Process{PID: cmd.Process.Pid, Addrs: make(map[string]string), tb: tb, cmd: cmd}
	tb.Cleanup(func() {
		p.Stop()
		if b, err := os.ReadFile(logs.Name()); err == nil && tb.Failed() {
			tb.Logf("%s %v wrote:\n%s", filepath.Base(name), args, b)
		}
		_ = logs.Close()
	})
	late := time.AfterFunc(readyWithin, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			for _, url := range strings.Fields(rest) {
				scheme, addr, _ := strings.Cut(url, "://")
				p.Addrs[scheme], _, _ = strings.Cut(addr, "/")
			}
			return p
		}
	}
	tb.Fatalf("%s %v ended before it was ready", name, args)
	return p
}

// Kill ends the process with SIGKILL.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

// Stop ends the process with SIGTERM and waits for it, with SIGKILL after 15 s. It returns what Wait said.
func (p *Process) Stop() error {
	p.tb.Helper()
	hard := time.AfterFunc(15*time.Second, func() {
		p.tb.Errorf("process %d did not end on SIGTERM", p.PID)
		_ = p.cmd.Process.Kill()
	})
	defer hard.Stop()
	p.signal(syscall.SIGTERM)
	return p.err
}

func (p *Process) signal(s syscall.Signal) {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(s) // it may have ended by itself
		p.err = p.cmd.Wait()
	})
}
