// Package proctest runs the program's processes in tests: real ones, that can be killed.
package proctest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sluice/internal/child"
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
	*child.Process
	tb testing.TB
}

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
	p := &Process{tb: tb}
	tb.Cleanup(func() {
		if p.Process != nil {
			_ = p.Stop() // whoever cares how it ends stops it before
		}
		if b, err := os.ReadFile(logs.Name()); err == nil && tb.Failed() {
			tb.Logf("%s %v wrote:\n%s", filepath.Base(name), args, b)
		}
		_ = logs.Close()
	})
	if p.Process, err = child.Start(cmd); err != nil {
		tb.Fatal(err)
	}
	return p
}

// Stop ends the process with SIGTERM and waits for it. It returns what Wait said. One that has to be killed fails the test.
func (p *Process) Stop() error {
	p.tb.Helper()
	err := p.Process.Stop()
	if errors.Is(err, child.ErrKilled) {
		p.tb.Errorf("process %d: %v", p.PID, err)
	}
	return err
}
