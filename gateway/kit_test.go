package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(4)
	leaktest.Main(m)
}

// patience is the timeout of a test's waits.
const patience = 30 * time.Second

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

// start runs a gateway until the test ends, or the returned function is called.
func start(t testing.TB, cfg gateway.Config) (*gateway.Gateway, func()) {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Loops == 0 {
		cfg.Loops = 1
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = 200 * time.Millisecond
	}
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, gateway.ErrCut) { // fake workers leave messages unacknowledged
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not return")
		}
	})
	t.Cleanup(stop)
	select {
	case <-g.Ready():
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	return g, stop
}

// hostport is the address in a listener's URL.
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

// ended reports whether an error of a read is the end of the connection.
func ended(err error) bool {
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

// workerLinks is the number of workers' links that take clients. Stats counts a worker once,
// however many links it has.
func workerLinks(g *gateway.Gateway) (n int) {
	for _, l := range g.Stats().Loops {
		n += l.Workers
	}
	return n
}
