package worker

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// loopsPeer is a gateway, played by the test, whose number of loops changes with each restart.
type loopsPeer struct {
	mu    sync.Mutex
	loops int              // guarded by mu
	up    map[int]net.Conn // guarded by mu: by loop
}

func (p *loopsPeer) dial(context.Context, string) (net.Conn, error) {
	near, far := net.Pipe()
	go p.accept(far)
	return near, nil
}

func (p *loopsPeer) accept(conn net.Conn) {
	var loop int
	p.mu.Lock()
	loops := p.loops
	p.mu.Unlock()
	_, err := link.Accept(conn, nil, func(h link.WorkerHello) (link.GatewayHello, error) {
		loop = int(h.Loop)
		if loop >= loops {
			return link.GatewayHello{}, io.EOF
		}
		return link.GatewayHello{ID: 1, Epoch: 1, Loops: uint16(loops), Loop: h.Loop, MaxFrame: link.MaxFrame}, nil
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || p.loops != loops {
		_ = conn.Close()
		return
	}
	p.up[loop] = conn
}

func (p *loopsPeer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.up)
}

// restart ends all links and continues with another number of loops.
func (p *loopsPeer) restart(loops int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.up {
		_ = conn.Close()
	}
	p.loops, p.up = loops, make(map[int]net.Conn)
}

// A gateway that restarts with fewer loops, and then with more, gets a link for each of its loops.
func TestLoopsChange(t *testing.T) {
	t.Parallel()
	p := &loopsPeer{loops: 4, up: make(map[int]net.Conn)}
	w, err := New(Config{Gateways: []string{"peer"}, Dial: p.dial, Logger: slog.New(slog.DiscardHandler)}, Handler{})
	if err != nil {
		t.Fatal(err)
	}
	g := w.addresses.list()[0]
	ctx, cancel := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { g.keep(ctx) })
	defer func() {
		cancel()
		p.restart(0)
		keeping.Wait()
		w.tasks.Wait()
		w.exec.Wait()
	}()
	for _, loops := range []int{4, 1, 3, 2, 5} {
		p.restart(loops)
		late := time.After(10 * time.Second)
		for up, kept := 0, 0; up != loops || kept != loops; time.Sleep(time.Millisecond) {
			select {
			case <-late:
				t.Fatalf("with %d loops: %d links, and %d that are kept up", loops, up, kept)
			default:
			}
			up = p.count()
			g.mu.Lock()
			kept = len(g.kept) // the others have ended
			g.mu.Unlock()
		}
	}
	select {
	case <-w.Ready():
	default:
		t.Error("all links have been up, and the worker is not ready")
	}
}
