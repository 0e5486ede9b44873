package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/proctest"
)

// children are the processes that a process has started and that are still there.
func children(pid int) []string {
	var b []byte
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		more, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		b = append(b, more...)
	}
	return strings.Fields(string(b))
}

// TestBenchKilled has a run killed with what it had no chance to end: its gateway, its worker and its generators end by themselves.
func TestBenchKilled(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), proctest.Build(t), "bench", "echo", "-c", "10", "--processes", "2", "--warmup", "0s", "-z", "1h")
	logs, inside, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = logs.Close() }()
	cmd.Stderr = inside
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = inside.Close()
	if _, err := logs.Read(make([]byte, 1)); err != nil { // the first interval is over
		t.Fatal(err)
	}
	all := children(cmd.Process.Pid)
	if len(all) != 4 {
		t.Errorf("%d processes were started, want a gateway, a worker and two generators", len(all))
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	proctest.Await(t, "all that the run has started is gone", func() bool {
		for _, pid := range all {
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			if _, state, ok := strings.Cut(string(stat), ") "); err == nil && ok && state[0] != 'Z' {
				return false
			}
		}
		return true
	})
}
