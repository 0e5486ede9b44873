package main_test

import (
	"os/exec"
	"strings"
	"testing"

	"sluice/internal/proctest"
)

// The soak in its shortest form: faults happen, every message is accounted for, and nothing of it is left.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	bin := proctest.Build(t)
	out, err := exec.Command(bin, "bench", "soak", "--for", "8s", "--round", "4s", "--every", "300ms", "--conns", "80", "--rate", "400").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "killed") || strings.Count(string(out), "echo") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
