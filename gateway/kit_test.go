package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/gateway"
)

// TestMain looks for goroutines and descriptors that are left when all tests are done.
func TestMain(m *testing.M) {
	before := 0
	goleak.VerifyTestMain(descriptors{m, &before},
		// The pool of gnet's Enroll: one per process, for its whole life.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// descriptors is a goleak.TestingM that fails when the tests leave descriptors behind.
type descriptors struct {
	*testing.M
	before *int
}

func (d descriptors) Run() int {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = ln.Close() // the runtime's own poller opens its descriptors with the first socket
	}
	before := openDescriptors()
	code := d.M.Run()
	if code == 0 && !eventually(func() bool { return len(openDescriptors()) <= len(before) }) {
		_, _ = os.Stderr.WriteString("descriptors left:\n" + strings.Join(openDescriptors(), "\n") + "\n")
		return 1
	}
	return code
}

// openDescriptors are what the process holds open; none where the system does not tell.
func openDescriptors() []string {
	var open []string
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "/proc/") {
			open = append(open, e.Name()+" "+to)
		}
	}
	return open
}

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

func eventually(ok func() bool) bool {
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-poll.C {
		if ok() {
			return true
		}
	}
	return false
}

func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !eventually(ok) {
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// start runs a gateway until the test ends, or the function returned is called.
func start(t testing.TB, cfg gateway.Config) (*gateway.Gateway, func()) {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Loops == 0 {
		cfg.Loops = 1
	}
	if cfg.DrainFor == 0 {
		cfg.DrainFor = 200 * time.Millisecond
	}
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, gateway.ErrCut) { // fake workers leave messages unacknowledged
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve does not return")
		}
	})
	t.Cleanup(stop)
	return g, stop
}

// hostport cuts the address out of a listener's URL.
func hostport(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	addr, _, _ := strings.Cut(rest, "/")
	return addr
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ended reports whether a read's error is the end of the connection.
func ended(err error) bool {
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}
