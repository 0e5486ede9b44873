package engine

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

func TestMain(m *testing.M) {
	if childMain() {
		return
	}
	leaktest.Main(m)
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// funcs is a Handler made of functions; nil ones do nothing, OnData consumes.
type funcs struct {
	open  func(*Conn)
	data  func(*Conn, []byte) int
	close func(*Conn, error)
}

func (f funcs) OnOpen(c *Conn) {
	if f.open != nil {
		f.open(c)
	}
}

func (f funcs) OnData(c *Conn, in []byte) int {
	if f.data != nil {
		return f.data(c, in)
	}
	return len(in)
}

func (f funcs) OnClose(c *Conn, err error) {
	if f.close != nil {
		f.close(c, err)
	}
}

func echo(c *Conn, in []byte) int {
	_ = c.Write(in)
	return len(in)
}

func start(t testing.TB, cfg Config) *Engine {
	t.Helper()
	if cfg.Loops == 0 {
		cfg.Loops = 2
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
	return e
}

func stop(t testing.TB, e *Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func serve(t testing.TB, e *Engine, h Handler, o ListenOptions) *Listener {
	t.Helper()
	if o.Accept == nil {
		o.Accept = func(netip.AddrPort) Handler { return h }
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func dial(t testing.TB, ln *Listener) net.Conn {
	t.Helper()
	nc, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc
}

func readN(t testing.TB, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if m, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("read %d of %d bytes: %v", m, n, err)
	}
	return b
}

func receive[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatal("nothing happened")
	}
	return v
}

// eventually polls until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// on runs f on l and waits for it.
func on(t testing.TB, l *Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	eventually(t, "there is room in the mailbox", func() bool {
		err := l.Post(func() { defer close(done); f() })
		if err != nil && !errors.Is(err, ErrMailboxFull) {
			t.Fatal(err)
		}
		return err == nil
	})
	receive(t, done)
}

// figures are those of all loops, by Index.
func figures(e *Engine) []LoopStats {
	all := make([]LoopStats, len(e.loops))
	for i, l := range e.loops {
		done := make(chan struct{})
		for {
			err := l.Post(func() { all[i] = l.Stats(); close(done) })
			if err == nil {
				<-done
			} else if errors.Is(err, ErrMailboxFull) {
				continue
			} else { // it has ended
				all[i] = l.Stats()
			}
			break
		}
	}
	return all
}
