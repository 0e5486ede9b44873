package supervisor_test

import (
	"bytes"
	"context"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/supervisor"
	"github.com/seed-7410fe32/sluice/internal/validtest"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// These are the behaviours of the processes, as shell scripts.
const (
	serves   = `echo "ready here://"; exec sleep 1000`
	silent   = `exec sleep 1000`
	stubborn = `trap "" TERM; echo "ready here://"; while :; do sleep 0.05; done`
	dies     = `echo "ready here://"; exit 3`
)

// fleet is a Run. Each new process runs the next script of the list, or the last one when the list
// is used up.
type fleet struct {
	*testing.T
	log    journal
	reload chan struct{}
	stop   func() error
}

func run(t *testing.T, n int, does ...string) *fleet {
	t.Helper()
	f := &fleet{T: t, reload: make(chan struct{})}
	var mu sync.Mutex
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ready := make(chan struct{})
	cfg := supervisor.Config{
		N: n, ReadyWithin: 3 * time.Second, StopWithin: 500 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&f.log, nil)),
		Ready:  func() { close(ready) },
		Command: func(int) *exec.Cmd {
			mu.Lock()
			defer mu.Unlock()
			next := does[0]
			if len(does) > 1 {
				does = does[1:]
			}
			return exec.Command("/bin/sh", "-c", next)
		},
	}
	go func() { done <- supervisor.Run(ctx, cfg, f.reload) }()
	f.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = f.stop() })
	<-ready
	return f
}

// logs waits until text was logged at least the given number of times.
func (f *fleet) logs(text string, times int) {
	f.Helper()
	proctest.Await(f, text, func() bool { return strings.Count(f.log.String(), text) >= times })
}

// ended checks the error of Run when SIGTERM ends processes that do not catch it, such as sleep.
func (f *fleet) ended() {
	f.Helper()
	if err := f.stop(); err == nil || !strings.Contains(err.Error(), "terminated") {
		f.Errorf("Run: %v", err)
	}
}

// A process that does not become ready does not replace the current one. The next reload succeeds.
func TestOldStaysUntilNewIsReady(t *testing.T) {
	t.Parallel()
	f := run(t, 2, serves, serves, silent, serves)
	f.reload <- struct{}{}
	f.logs("reload stopped", 1)
	log := f.log.String()
	if strings.Contains(log, "did not end cleanly") || strings.Count(log, "worker ready") != 2 ||
		!strings.Contains(log, "replaced=0") {
		t.Errorf("somebody was replaced:\n%s", log)
	}
	f.reload <- struct{}{}
	f.logs("msg=reloaded", 1)
	f.logs("worker ready", 4)
	f.ended()
}

// A process that becomes ready and then dies replaces one process, not all of them.
func TestACrashingProgramDoesNotGetAllPlaces(t *testing.T) {
	t.Parallel()
	f := run(t, 2, serves, serves, dies, serves)
	f.reload <- struct{}{}
	f.logs("reload stopped", 1)
	f.logs("worker ready", 4) // two at first, the one that died, and its replacement
	if log := f.log.String(); strings.Contains(log, "msg=reloaded") || strings.Count(log, "place=2") != 1 {
		t.Errorf("the second was replaced too:\n%s", log)
	}
	f.ended()
}

// A process that does not end on SIGTERM is killed, and the reload continues.
func TestStubbornIsKilled(t *testing.T) {
	t.Parallel()
	f := run(t, 2, stubborn, serves)
	f.reload <- struct{}{}
	f.logs("msg=reloaded", 1)
	if log := f.log.String(); strings.Count(log, "did not end on SIGTERM") != 1 {
		t.Errorf("it was not killed:\n%s", log)
	}
	f.ended()
}

// Processes that die are restarted with a growing delay. A reload does not wait for that delay.
func TestBackOff(t *testing.T) {
	t.Parallel()
	f := run(t, 1, serves, dies) // the first process becomes ready
	for i := 1; !strings.Contains(f.log.String(), "directly after it became ready"); i++ {
		// The new process dies directly after it is ready. The old one stays if that is not seen.
		f.reload <- struct{}{}
		f.logs("reload stopped", i)
	}
	f.logs("worker ended, starting another", 4)
	var waits []time.Duration
	for line := range strings.Lines(f.log.String()) {
		if _, rest, found := strings.Cut(line, "worker ended, starting another"); found {
			_, in, _ := strings.Cut(rest, " in=")
			in, _, _ = strings.Cut(in, " ")
			wait, err := time.ParseDuration(in)
			if err != nil {
				t.Fatal(line)
			}
			waits = append(waits, wait)
		}
	}
	for i, least := 0, 50*time.Millisecond; i < 4; i, least = i+1, 2*least {
		if waits[i] < least || waits[i] > 2*least {
			t.Errorf("after death %d it waits %v, want %v…%v", i+1, waits[i], least, 2*least)
		}
	}
}

// The end of ctx stops all processes with SIGTERM. If all end cleanly, Run returns no error.
func TestStop(t *testing.T) {
	t.Parallel()
	f := run(t, 4, `trap "exit 0" TERM; echo "ready here://"; while :; do sleep 0.05; done`)
	if err := f.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	over, end := context.WithCancel(t.Context())
	end()
	good := supervisor.Config{N: 1, Command: func(int) *exec.Cmd { return exec.Command("/bin/false") }, Ready: func() {},
		Logger: slog.New(slog.DiscardHandler)}
	run := func(cfg supervisor.Config) error {
		if err := supervisor.Run[int](over, cfg, nil); err != nil && strings.Contains(err.Error(), "Config.") {
			return err
		}
		return nil
	}
	validtest.Negative(t, good, run)
	good.N = 0
	if err := run(good); err == nil {
		t.Error("0 processes are taken")
	}
}

// Run ends while its processes start. A process that does not yet catch SIGTERM has ended as
// requested, and no other is started.
func TestEndWhileStarting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	var started atomic.Int32
	cfg := supervisor.Config{
		N: 3, Ready: func() { t.Error("ready") }, Logger: slog.New(slog.DiscardHandler),
		Command: func(int) *exec.Cmd {
			if started.Add(1) == 3 {
				cancel()
			}
			return exec.Command("/bin/sh", "-c", silent)
		},
	}
	if err := supervisor.Run(ctx, cfg, make(chan struct{})); err != nil {
		t.Error(err)
	}
	if err := supervisor.Run(ctx, cfg, make(chan struct{})); err != nil || started.Load() != 3 {
		t.Errorf("after the end: %v, %d processes", err, started.Load())
	}
}
