package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// children returns the running child processes of a process.
func children(pid int) []string {
	var b []byte
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		more, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		b = append(b, more...)
	}
	return strings.Fields(string(b))
}

// startBench starts a run and returns after its first interval. Its report goes
// to out; the caller reads its log.
func startBench(t *testing.T, out *bytes.Buffer, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), proctest.Build(t), append([]string{"bench"}, args...)...)
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(logs)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd, lines
}

// TestBenchKilled kills a run with SIGKILL: its gateway, its worker and
// its generators end by themselves.
func TestBenchKilled(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), proctest.Build(t), "bench", "echo", "-c", "10", "--processes", "2",
		"--warmup", "0s", "-z", "1h")
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

// TestBenchSignalTwice sends the same signal twice at once, as timeout(1) does: there is a report.
func TestBenchSignalTwice(t *testing.T) {
	t.Parallel()
	var report bytes.Buffer
	cmd, lines := startBench(t, &report, "echo", "-c", "10", "--warmup", "0s", "-z", "1h", "--drain", "100ms")
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	said, _ := io.ReadAll(lines)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(report.String(), "the run was ended after ") {
		t.Errorf("exit code %d\n%s%s", code, said, &report)
	}
}

// TestBenchServerDies kills the gateway of a run: the run ends at once, names the server, and
// reports what was measured.
func TestBenchServerDies(t *testing.T) {
	t.Parallel()
	var report bytes.Buffer
	cmd, lines := startBench(t, &report, "echo", "-c", "10", "--warmup", "0s", "-z", "1h", "--drain", "100ms")
	for _, pid := range children(cmd.Process.Pid) {
		args, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		if n, err := strconv.Atoi(pid); err == nil && strings.Contains(string(args), "\x00gateway\x00") {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	said, _ := io.ReadAll(lines)
	_ = cmd.Wait()
	t.Logf("%s%s", said, &report)
	code := cmd.ProcessState.ExitCode()
	if code != 1 || !strings.Contains(string(said), "a server ended during the run: the gateway\n") {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"\nFAILED\n", " × closed: ", "1 × ended: gateway, process ", "the run was ended after ",
	} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("no %q in the report", want)
		}
	}
	if strings.Contains(report.String(), " -") {
		t.Error("something is less than nothing")
	}
}

// TestBenchGeneratorRests stops the generator for 300 ms in an open loop: messages due meanwhile
// are sent late, and their latency counts from when they were due.
func TestBenchGeneratorRests(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd, lines := startBench(t, &out, "echo", "-c", "10", "-R", "1k", "--warmup", "0s", "-z", "1200ms", "--format", "json")
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(300 * time.Millisecond) // the fault
	_ = cmd.Process.Signal(syscall.SIGCONT)
	said, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	r, err := report.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]bench.Latency{"latency": r.Latency, "lateness": r.Lateness} {
		h, err := l.Histogram()
		if err != nil {
			t.Fatal(err)
		}
		if h.Max() < 250_000 || h.ValueAtQuantile(90) < 50_000 {
			t.Errorf("%s: p90 %d µs, max %d µs of %d", name, h.ValueAtQuantile(90), h.Max(), h.TotalCount())
		}
	}
	if r.Sent < 900 {
		t.Errorf("%v a second were sent: what was due is made up for", r.Sent)
	}
}
