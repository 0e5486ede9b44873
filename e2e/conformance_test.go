package e2e_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// TestConformance runs the codec's conformance cases against the whole path: client, gateway,
// worker and back.
func TestConformance(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	server := proctest.Start(t, nil, bin, "echo", "--listen", "ws://127.0.0.1:0", "--max-message", "16777216")
	cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-run", "^TestConformance$",
		"github.com/seed-7410fe32/sluice/codec")
	cmd.Env = append(os.Environ(), "SLUICE_CONFORMANCE_ADDR="+server.Addrs["ws"])
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
