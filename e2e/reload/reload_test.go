package reload_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/e2e/internal/fleet"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// SIGHUP replaces all workers of a host, one after the other, under load. Each message comes
// back once, in order and unchanged, and no client is disconnected. All rows run; with
// SLUICE_TEST=full each for its whole window. SLUICE_RELOAD_EVERY=3s waits so long before each
// of ten reloads, instead of a tenth of a second, to measure the cost of rare reloads.
func TestReload(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	for _, test := range []reloading{
		{"echo", bench.Echo, bench.WebSocket, 1, 2, 1000, 5000, 5 * time.Second, 4, false, true},
		{"the only worker", bench.Echo, bench.Text, 1, 1, 200, 2000, 3 * time.Second, 5, false, false},
		{"publishing at two gateways", bench.Rooms, bench.Frame, 2, 2, 200, 400, 4 * time.Second, 3, false, false},
		{"while workers are killed", bench.Echo, bench.WebSocket, 1, 2, 200, 2000, 5 * time.Second, 4, true, false},
	} {
		t.Run(test.name, test.run)
	}
}

// reloading is a load and how often the workers are replaced meanwhile.
type reloading struct {
	name              string
	mode              bench.Mode
	codec             bench.Codec
	gateways, workers int
	clients           int
	rate              float64
	window            time.Duration
	times             int  // at least
	kill              bool // a worker, when each reload has begun
	before            bool // the same load, without reloads, is measured first
}

func (test reloading) run(t *testing.T) {
	t.Parallel()
	every, err := time.ParseDuration(os.Getenv("SLUICE_RELOAD_EVERY"))
	if err != nil && !suite.Full() {
		t.Logf("SHORTENED: a half of %v; SLUICE_TEST=full has all", test.window)
		test.window, test.times, test.before = test.window/2, test.times/2, false
	}
	f := fleet.New(t, proctest.Build(t), test.codec, test.gateways)
	workers := proctest.Start(t, nil, f.Bin, "bench", "serve", "--worker", "--workers", strconv.Itoa(test.workers),
		"--gateway", strings.Join(f.Inner, ","))
	o := bench.Options{
		Mode: test.mode, Codec: test.codec, Conns: test.clients, RoomSize: 20, Rate: test.rate, Targets: f.Targets,
		Warmup: time.Second, Window: test.window, Drain: 10 * time.Second,
	}
	pause := 100 * time.Millisecond
	if err == nil {
		pause, o.Window = every, 13*every
	}
	if test.before {
		if r := <-fleet.Load(t, o); r != nil {
			t.Logf("without reloads: latency p50 %d µs, p99 %d µs, max %d µs", r.Latency.P50, r.Latency.P99, r.Latency.Max)
		}
	}
	done := fleet.Load(t, o)
	for reloads := 0; ; reloads++ {
		select {
		case r := <-done:
			if r == nil {
				return
			}
			t.Logf("%d workers replaced %d times: %.0f messages a second, audit %+v, "+
				"latency p50 %d µs, p99 %d µs, max %d µs; %v", test.workers, reloads, r.Sent, r.Audit,
				r.Latency.P50, r.Latency.P99, r.Latency.Max, strings.Join(r.Verdict.Reasons, "; "))
			if reloads < test.times || !test.kill && strings.Contains(workers.Log(), "reload stopped") {
				t.Errorf("%d times is not enough, or one was not carried out", reloads)
			}
			fleet.ExpectClean(t, r)
			if code := workers.Terminate(); code != 0 {
				t.Errorf("the workers end with exit code %d", code)
			}
			return
		case <-time.After(pause):
			test.reload(t, workers, reloads)
		}
	}
}

// reload has the workers replaced, after it was done so many times.
func (test reloading) reload(t *testing.T, workers *proctest.Process, times int) {
	workers.Signal(syscall.SIGHUP)
	if test.kill {
		pids := workers.WorkerPIDs(2)
		_ = syscall.Kill(pids[len(pids)-1-times%2], syscall.SIGKILL) // one of the last two, if it is there still
	}
	proctest.Await(t, "the end of the reload", func() bool {
		log := workers.Log()
		return strings.Count(log, "msg=reloaded")+strings.Count(log, "reload stopped") == times+1
	})
}

// A worker that dies is started again, and its clients are served all the time.
func TestWorkerIsStartedAgain(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	// The gateway and the supervisor are one process.
	server := proctest.Start(t, nil, bin, "echo", "--workers", "2", "--listen", "text://127.0.0.1:0")
	c := proctest.Dial(t, server.Addrs["text"])
	for i := range 3 {
		pids := server.WorkerPIDs(2 + i)
		if len(pids) != 2+i {
			t.Fatalf("%d workers were ready, not %d", len(pids), 2+i)
		}
		if err := syscall.Kill(pids[len(pids)-1], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		proctest.Echoes(t, c, "still there")
		server.AwaitLog(`msg="worker ready"`, 3+i)
	}
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A reload with a program that does not start stops: the present workers stay and serve. When
// the program is repaired, a reload succeeds.
func TestReloadOfABrokenProgram(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0")
	release := filepath.Join(t.TempDir(), "release") // where operators put the version that is to run, often a link
	install := func(to string) {
		t.Helper()
		if err := os.Symlink(to, release+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(release+".new", release); err != nil {
			t.Fatal(err)
		}
	}
	install(bin)
	workers := proctest.Start(t, nil, release, "echo", "--worker", "--workers", "2", "--gateway", gateway.Addrs["inner"])
	before := workers.WorkerPIDs(2)
	c := proctest.Dial(t, gateway.Addrs["text"])
	proctest.Echoes(t, c, "before")

	broken, err := exec.LookPath("false")
	if err != nil {
		t.Fatal(err)
	}
	install(broken)
	workers.Signal(syscall.SIGHUP)
	workers.AwaitLog("reload stopped", 1)
	proctest.Echoes(t, c, "with the old workers")
	if after := workers.WorkerPIDs(2); len(after) != len(before) {
		t.Errorf("workers %v, were %v", after, before)
	}

	install(bin)
	workers.Signal(syscall.SIGHUP)
	workers.AwaitLog("msg=reloaded", 1)
	proctest.Echoes(t, c, "with new ones")
	if all := workers.WorkerPIDs(4); len(all) != 4 {
		t.Errorf("%d workers were ready, not 4", len(all))
	}
	if code := workers.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// If workers cannot start, the command says so and ends instead of trying forever.
func TestWorkersThatDoNotComeUp(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(proctest.Build(t), "echo", "--worker", "--workers", "2", "--gateway=")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "the workers do not start") {
		t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), out)
	}
}

// A supervisor that is killed leaves no worker behind: they drain.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "1")
	workers := proctest.Start(t, nil, bin, "echo", "--worker", "--workers", "2", "--gateway", gateway.Addrs["inner"])
	workers.Kill()
	gateway.AwaitLog(`err="gateway: the worker ended the link: draining"`, 2)
}

// Workers can be replaced while a gateway is down. The log says which one is missing.
func TestReloadWithAGatewayDown(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	gateway := func() *proctest.Process {
		return proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0",
			"--inner", "127.0.0.1:0", "--reactors", "1")
	}
	one, two := gateway(), gateway()
	workers := proctest.Start(t, nil, bin, "echo", "--worker", "--workers", "1",
		"--gateway", one.Addrs["inner"]+","+two.Addrs["inner"])
	two.Kill()
	workers.Signal(syscall.SIGHUP)
	workers.AwaitLog("msg=reloaded", 1)
	if missing := "missing=[" + two.Addrs["inner"] + "]"; !strings.Contains(workers.Log(), missing) {
		t.Errorf("the log has no %q", missing)
	}
	c := proctest.Dial(t, one.Addrs["text"])
	proctest.Echoes(t, c, "at the other gateway")
}
