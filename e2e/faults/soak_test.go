package faults_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// The shortest form of a soak: clients of all wire formats, some of them slow, echo messages,
// talk in rooms and receive broadcasts while faults happen. Every message is accounted for, the
// gateway holds no more than it may, and nothing is left.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	bin := proctest.Build(t)
	const rounds = 2
	seconds := suite.Of(t, 4, 9, "seconds a round")
	out, err := exec.Command(bin, "bench", "soak", "--every", "300ms",
		"--for", fmt.Sprintf("%ds", rounds*seconds), "--round", fmt.Sprintf("%ds", seconds),
		"--gateways", "1", "--workers", "2", "--conns", "30", "--rate", "6000").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "killed") || strings.Count(string(out), "echo") != rounds {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
