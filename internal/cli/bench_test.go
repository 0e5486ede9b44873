package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// sluice runs the program to its end and returns its output and its exit code.
func sluice(t *testing.T, bin string, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, args...)
	var logs strings.Builder
	cmd.Stderr = &logs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	t.Logf("sluice %s\n%s%s", strings.Join(args, " "), &logs, out)
	return string(out), cmd.ProcessState.ExitCode()
}

// wentWell reports whether a run did not fail. On a busy machine it may be INVALID,
// because the generator was the limit.
func wentWell(out string) bool {
	return strings.HasSuffix(out, "\nOK\n") || strings.Contains(out, "\nINVALID\n")
}

// TestBench makes short runs from the command line: the tool works, and its audit is clean.
func TestBench(t *testing.T) {
	t.Parallel()
	bin, dir := proctest.Build(t), t.TempDir()
	short := []string{"-c", "20", "-z", "300ms", "--warmup", "50ms"}
	a, b := filepath.Join(dir, "a.json"), filepath.Join(dir, "b.json")
	out, code := sluice(t, bin,
		append([]string{"bench", "echo", "--json", a, "--slo", "errors<=0", "--slo", "p99<1m"}, short...)...)
	if code != 0 || !wentWell(out) || !strings.Contains(out, "gateway") {
		t.Errorf("exit code %d", code)
	}
	out, code = sluice(t, bin, append([]string{
		"bench", "rooms", "--room-size", "5", "--codec", "jsonl", "-R", "200", "--json", b, "--format", "gobench",
	}, short...)...)
	if code != 0 || !strings.Contains(out, "\nBenchmarkSluice/") {
		t.Errorf("exit code %d", code)
	}
	both := filepath.Join(dir, "both.html")
	out, code = sluice(t, bin, "bench", "compare", a, b, "--html", both)
	if code != 0 || !strings.Contains(out, "not comparable:\n  mode is echo in A and rooms in B") {
		t.Errorf("exit code %d", code)
	}
	page, err := os.ReadFile(both)
	differ := strings.Contains(string(page), "mode is echo in A and rooms in B")
	if err != nil || !differ || strings.Count(string(page), "<svg") != 4 {
		t.Errorf("the two are not drawn over each other: %v", err)
	}
	out, code = sluice(t, bin, "bench", "compare", a, filepath.Join(dir, "[ab].json"))
	differ = strings.Contains(out, "mode is echo in A and echo or rooms in B")
	if code != 0 || !differ || !strings.Contains(out, "\nB  ") {
		t.Errorf("a run against two: exit code %d", code)
	}
	out, code = sluice(t, bin, "bench", "compare", a+","+b, a)
	if code != 0 || !strings.Contains(out, "mode is echo or rooms in A and echo in B") {
		t.Errorf("two runs against one: exit code %d", code)
	}
	if _, code = sluice(t, bin, "bench", "compare", a, b+","+b); code != 2 {
		t.Errorf("a side that has a run twice gives exit code %d", code)
	}
	if _, code = sluice(t, bin, "bench", "compare", a, filepath.Join(dir, "none*.json")); code != 1 {
		t.Errorf("a pattern that fits nothing gives exit code %d", code)
	}
	if _, code = sluice(t, bin, append([]string{"bench", "echo", "--slo", "p50<1ns"}, short...)...); code != 99 {
		t.Errorf("an objective was missed, and the exit code is %d", code)
	}
	if err := os.WriteFile(a, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, code = sluice(t, bin, "bench", "compare", a, b); code != 1 {
		t.Errorf("a file that is no report gives exit code %d", code)
	}
}

// TestBenchTarget loads a running server with several loops, from several addresses.
func TestBenchTarget(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	p := proctest.Start(t, nil, bin, "echo", "--listen", "frame://127.0.0.1:0")
	out, code := sluice(t, bin, "bench", "echo", "--codec", "frame", "--target", p.Addrs["frame"],
		"--source", "127.0.0.1,127.0.0.2", "--loops", "2", "-c", "20", "-z", "300ms", "--warmup", "0s")
	if code != 0 || !wentWell(out) {
		t.Errorf("exit code %d", code)
	}
	if _, code = sluice(t, bin, "bench", "echo", "--target", "nowhere"); code != 2 {
		t.Errorf("a target without a port gives exit code %d", code)
	}
}

// TestBenchTune tries one knob for a short time.
func TestBenchTune(t *testing.T) {
	t.Parallel()
	bin, page := proctest.Build(t), filepath.Join(t.TempDir(), "tune.html")
	out, code := sluice(t, bin, "bench", "tune", "--reactors", "1,2", "--workers", "1", "--worker-procs", "1",
		"--pin=false", "--rounds", "1", "-c", "20", "-z", "300ms", "--warmup", "50ms", "--html", page)
	if code != 0 || !strings.Contains(out, "Use\n  sluice gateway --reactors ") || !strings.Contains(out, "keep") ||
		strings.Contains(out, "better") {
		t.Errorf("exit code %d, want what is set by default: one round tells nothing", code)
	}
	if b, err := os.ReadFile(page); err != nil || !strings.Contains(string(b), "<svg") {
		t.Errorf("the page has no plot, %v", err)
	}
}

// TestBenchRefuses has wrong command lines: nothing is measured, and a hint is printed.
func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for _, args := range [][]string{
		{"echo", "-c", "0"}, {"echo", "-c", "1.5"}, {"echo", "-P", "0"}, {"echo", "-s", "0"},
		{"echo", "-s", "3"}, {"echo", "-z", "0s"}, {"rooms", "--room-size", "0"},
		{"echo", "--pid", "nobody=1073741824"}, {"echo", "--pid", "4711"},
		{"echo", "--json", "/nowhere/a.json"}, {"echo", "--html", os.TempDir()}, {"echo", "--slo", "p99=5ms"},
		{"idle", "-R", "10"}, {"churn", "-R", "10"}, {"idle", "-P", "2"}, {"idle", "-s", "64"},
		{"broadcast", "-c", "10", "--senders", "11"}, {"echo", "-s", "16777217"},
		{"echo", "-c", "1", "-P", "5", "-s", "16777216"}, {"echo", "--loops", "257"}, {"echo", "-z", "1ns"},
		{"echo", "--drain", "2562047h"}, {"echo", "-R", "0.01"}, {"echo", "--reactors", "many"},
		{"echo", "--source", "localhost"}, {"echo", "--workers", "1000000"}, {"push", "-c", "1"},
		{"echo", "--pid", "worker=1"}, {"echo", "--pid", "generator=1"}, {"echo", "--pid", "a=1,b=1"},
		{"echo", "--pid", "=1"}, {"tune", "-c", "0"}, {"tune", "--html", "/nowhere/a.html"},
		{"tune", "--reactors", "0"}, {"tune", "--workers=-1"}, {"tune", "--rounds", "0"}, {"compare", "a.json"},
		{"compare", "a.json", "b.json", "c.json"},
	} {
		cmd := exec.CommandContext(t.Context(), bin, append([]string{"bench"}, args...)...)
		out, err := cmd.CombinedOutput()
		code := cmd.ProcessState.ExitCode()
		if code != 2 || !strings.HasSuffix(string(out), "\nRun 'sluice bench "+args[0]+" --help' for usage.\n") ||
			strings.Count(string(out), "\n") != 2 {
			t.Errorf("%v: exit code %d, %v\n%s", args, code, err, out)
		}
	}
}

// TestBenchFiles writes a report in all formats at once. An existing file is
// not changed before the run is over.
func TestBenchFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{"bench", "echo", "-c", "5", "-z", "200ms", "--warmup", "0s", "--drain", "0s", "--format", "csv"}
	for _, form := range []string{"json", "html", "csv", "gobench", "hgrm", "prometheus"} {
		args = append(args, "--"+form, filepath.Join(dir, form))
	}
	out, _ := sluice(t, proctest.Build(t), args...) // what is on its way when nobody waits for it is lost, and exit code 1
	csv, err := os.ReadFile(filepath.Join(dir, "csv"))
	if err != nil || string(csv) != out {
		t.Errorf("printed and written are not the same: %v\n%s", err, csv)
	}
	for form, want := range map[string]string{
		"json":       `"format": 1`,
		"html":       "</svg>",
		"gobench":    "BenchmarkSluice/mode=echo",
		"hgrm":       "1/(1-Percentile)",
		"prometheus": "# TYPE sluice_bench_faults_total counter\n",
	} {
		if b, err := os.ReadFile(filepath.Join(dir, form)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v\n%s", form, err, b)
		}
	}
}
