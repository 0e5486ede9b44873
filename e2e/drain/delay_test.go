package drain_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// probed returns the status of a probe, or 0 if the port is closed.
func probed(t *testing.T, addr, path string) int {
	t.Helper()
	res, err := http.Get("http://" + addr + path)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// With --drain-delay a gateway that gets SIGTERM first fails its probes and still serves new
// clients. Then it drains. A second signal ends it at once.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	serve := func(delay string) *proctest.Process {
		return proctest.Start(t, nil, bin, "echo", "--listen", "ws://127.0.0.1:0", "--listen", "text://127.0.0.1:0",
			"--reactors", "1", "--drain-delay", delay)
	}
	p := serve("10m")
	before := proctest.Dial(t, p.Addrs["text"])
	proctest.Echoes(t, before, "before")
	if got := probed(t, p.Addrs["ws"], "/readyz"); got != http.StatusOK {
		t.Errorf("before the signal /readyz says %d", got)
	}
	p.Signal(syscall.SIGTERM)
	p.AwaitLog("not ready:", 1)
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 503, "/livez": 200} {
		if got := probed(t, p.Addrs["ws"], path); got != want {
			t.Errorf("%s says %d, want %d", path, got, want)
		}
	}
	proctest.Echoes(t, proctest.Dial(t, p.Addrs["text"]), "a newcomer")
	proctest.Echoes(t, before, "who was there")
	if strings.Contains(p.Log(), "msg=draining") {
		t.Error("it drains before its time")
	}
	p.Signal(syscall.SIGTERM)
	if code := p.ExitCode(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d after a second signal", code)
	}

	const delay = 300 * time.Millisecond
	p = serve(delay.String())
	began := time.Now()
	if code := p.Terminate(); code != 0 || time.Since(began) < delay {
		t.Errorf("exit code %d after %v", code, time.Since(began))
	}
	log := p.Log()
	if !strings.Contains(log, "msg=drained") || strings.Index(log, "not ready:") > strings.Index(log, "msg=draining") {
		t.Errorf("it did not wait and then drain:\n%s", log)
	}
}
