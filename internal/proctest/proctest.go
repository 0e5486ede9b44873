// Package proctest runs the program as real processes in tests.
package proctest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/childproc"
)

// Process is a running program that has reported that it is ready.
type Process struct {
	*childproc.Process
	tb  testing.TB
	log string // file of its standard error
}

// Start runs a program and waits for the line on its standard output that begins with "ready". The
// process is stopped at the end of the test. If the test fails, its standard error is logged.
func Start(tb testing.TB, env []string, name string, args ...string) *Process {
	tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	logs, err := os.CreateTemp(tb.TempDir(), "stderr")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if b, err := os.ReadFile(logs.Name()); err == nil && tb.Failed() {
			tb.Logf("%s %v wrote:\n%s", filepath.Base(name), args, b)
		}
		_ = logs.Close()
	})
	return start(tb, cmd, logs)
}

// StartTo is like Start, with a standard error of the caller that Log does not read.
func StartTo(tb testing.TB, stderr *os.File, name string, args ...string) *Process {
	tb.Helper()
	return start(tb, exec.Command(name, args...), stderr)
}

func start(tb testing.TB, cmd *exec.Cmd, stderr *os.File) *Process {
	tb.Helper()
	cmd.Stderr = stderr
	p := &Process{tb: tb, log: stderr.Name()}
	var err error
	if p.Process, err = childproc.Start(cmd); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Stop() }) // a test that checks the result stops it earlier
	return p
}

// Log returns what the process has written to its standard error.
func (p *Process) Log() string {
	p.tb.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.tb.Fatal(err)
	}
	return string(b)
}

// LogSpan returns the time between the earliest and the latest time of day in the log.
func (p *Process) LogSpan() time.Duration {
	p.tb.Helper()
	var earliest, latest time.Time
	for _, m := range regexp.MustCompile(`time=(\S+)`).FindAllStringSubmatch(p.Log(), -1) {
		at, err := time.Parse(time.RFC3339, m[1])
		if err != nil {
			p.tb.Fatal(err)
		}
		if earliest.IsZero() || at.Before(earliest) {
			earliest = at
		}
		if at.After(latest) {
			latest = at
		}
	}
	return latest.Sub(earliest)
}

// AwaitLog waits until the process has logged text at least the given number of times.
func (p *Process) AwaitLog(text string, times int) {
	p.tb.Helper()
	Await(p.tb, fmt.Sprintf("process %d logs %q %d times", p.PID, text, times), func() bool {
		return strings.Count(p.Log(), text) >= times
	})
}

// AwaitFile waits until a file that another process writes contains text at least the given number
// of times.
func AwaitFile(tb testing.TB, path, text string, times int) {
	tb.Helper()
	Await(tb, fmt.Sprintf("%s holds %q %d times", path, text, times), func() bool {
		b, err := os.ReadFile(path)
		return err == nil && strings.Count(string(b), text) >= times
	})
}

// Await polls until ok returns true.
func Await(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(awaitTimeout); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", awaitTimeout, what)
		}
	}
}

// awaitTimeout is how long a test waits for an expected event.
const awaitTimeout = 30 * time.Second

// Signal sends the process a signal.
func (p *Process) Signal(s syscall.Signal) {
	p.tb.Helper()
	if err := syscall.Kill(p.PID, s); err != nil {
		p.tb.Fatalf("process %d: %v", p.PID, err)
	}
}

// ExitCode waits for the end of the process and returns its exit code, or -1 if a signal ended it.
func (p *Process) ExitCode() int {
	p.tb.Helper()
	select {
	case <-p.Done():
	case <-time.After(awaitTimeout):
		p.tb.Fatalf("process %d does not end", p.PID)
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.Err()); ok {
		return exit.ExitCode()
	}
	return 0
}

// Terminate sends SIGTERM, waits for the end of the process and returns its exit code, or -1 if a
// signal ended it.
func (p *Process) Terminate() int {
	p.tb.Helper()
	p.Signal(syscall.SIGTERM)
	return p.ExitCode()
}

// WorkerPIDs returns the processes that a supervisor has logged as ready, in that order. It waits
// until there are at least the given number: the ready line on standard output may precede the log.
func (p *Process) WorkerPIDs(least int) (pids []int) {
	p.tb.Helper()
	p.AwaitLog(`msg="worker ready"`, least)
	for _, m := range regexp.MustCompile(`msg="worker ready".* pid=(\d+)`).FindAllStringSubmatch(p.Log(), -1) {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			p.tb.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// Stop stops the process with SIGTERM and waits for it. It returns the result of Wait. The test
// fails if the process must be killed.
func (p *Process) Stop() error {
	p.tb.Helper()
	err := p.Process.Stop()
	if errors.Is(err, childproc.ErrKilled) {
		p.tb.Errorf("process %d: %v", p.PID, err)
	}
	return err
}
