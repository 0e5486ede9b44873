// Package workertest tests business code without a gateway and without sockets: an in-memory gateway
// holds clients that the test plays.
//
//	func TestEcho(t *testing.T) {
//		g := workertest.New(t, worker.Handler{
//			Message: func(_ context.Context, c worker.Call, m worker.Message) error {
//				c.Send(m)
//				return nil
//			},
//		})
//		alice := g.Dial(workertest.Request{})
//		alice.Send("hi")
//		alice.Expect("hi")
//	}
//
// Groups, uids and attributes are kept by the code that real gateways keep them with, and Connect
// admits clients as with those. It is one gateway of one event loop, without what a real one does to
// protect itself: limits, heartbeats, slow consumers. A handler that uses a Call after its end fails
// the test.
package workertest

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
	"github.com/seed-7410fe32/sluice/worker"
)

// Timeout is how long Expect and its like wait before the test fails.
const Timeout = 5 * time.Second

// Gateway is the in-memory gateway, with one worker. Its methods are for the test's goroutine.
type Gateway struct {
	tb      testing.TB
	handler worker.Handler
	config  worker.Config

	worker *worker.Worker
	stop   func() // the worker, and waits for it

	mu       sync.Mutex
	members  *registry.Registry // guarded by mu
	sessions []*Client          // guarded by mu: by slot; never used again
	link     *wire              // guarded by mu: nil while no worker is there
	linked   sync.Cond          // on mu: link has been set
	clock    uint64             // guarded by mu: of bindings
}

// New starts a gateway and a worker with the handler; both end with the test.
func New(tb testing.TB, h worker.Handler) *Gateway {
	tb.Helper()
	return NewWithConfig(tb, h, worker.Config{})
}

// NewWithConfig is New with a configuration of the worker, whose Gateways and Dial are ignored.
// Without a Logger the worker's warnings and errors, such as the stack of a handler's panic, are in
// the output of the test.
func NewWithConfig(tb testing.TB, h worker.Handler, cfg worker.Config) *Gateway {
	tb.Helper()
	g := &Gateway{tb: tb, handler: h, config: cfg, members: registry.New(registry.Limits{})}
	g.linked.L = &g.mu
	if g.config.Logger == nil {
		g.config.Logger = slog.New(newTestLog(tb))
	}
	g.config.Gateways = []string{"memory"}
	g.config.Dial = func(context.Context, string) (net.Conn, error) {
		near, far := net.Pipe()
		go g.accept(far)
		return near, nil
	}
	g.startWorker()
	tb.Cleanup(func() { g.stop() })
	return g
}

func (g *Gateway) startWorker() {
	g.tb.Helper()
	w, err := worker.New(g.config, g.handler)
	if err != nil {
		g.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	g.worker = w
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			g.tb.Errorf("workertest: the worker ended with %v", err)
		}
		if n := w.Stats().LateEffects; n > 0 {
			g.tb.Errorf("workertest: %d effects came after the end of their call (the log has a stack)", n)
		}
	})
	select {
	case <-w.Ready():
	case err := <-ended:
		g.tb.Fatalf("workertest: the worker did not start: %v", err)
	case <-time.After(Timeout):
		g.tb.Fatal("workertest: the worker did not connect")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaitLink() // our end of the hello is a moment behind
}

// awaitLink waits until a worker is there. Called with mu.
func (g *Gateway) awaitLink() {
	g.tb.Helper()
	late := false
	stop := time.AfterFunc(Timeout, func() {
		g.mu.Lock()
		late = true
		g.mu.Unlock()
		g.linked.Broadcast()
	})
	defer stop.Stop()
	for g.link == nil && !late {
		g.linked.Wait()
	}
	if g.link == nil {
		g.tb.Fatal("workertest: no worker came")
	}
}

// Worker is the worker that runs now.
func (g *Gateway) Worker() *worker.Worker { return g.worker }

// RestartWorker replaces the worker by a new one with the same handler, as an upgrade does: the old one finishes what it has, the clients stay connected and
// move over.
func (g *Gateway) RestartWorker() {
	g.tb.Helper()
	g.stop()
	g.startWorker()
}

// gatewayID is the in-memory gateway's.
const gatewayID = 1

// accept is the gateway's end of a link.
func (g *Gateway) accept(conn net.Conn) {
	_, err := link.Accept(conn, g.config.Key, func(link.WorkerHello) (link.GatewayHello, error) {
		return link.GatewayHello{ID: gatewayID, Epoch: 1, Loops: 1, MaxFrame: link.MaxFrame, Name: "workertest"}, nil
	})
	if err != nil {
		_ = conn.Close()
		return
	}
	w := newWire(conn)
	g.mu.Lock()
	g.link = w
	g.linked.Broadcast()
	for _, c := range g.sessions {
		if c.state == open {
			g.attach(c)
		}
	}
	g.mu.Unlock()
	w.read(g.frame)
	g.mu.Lock()
	if g.link == w {
		g.link = nil
	}
	g.mu.Unlock()
}

// attach gives the worker a client. Called with mu.
func (g *Gateway) attach(c *Client) {
	f := link.Frame{Type: link.Attach, Code: uint16(c.member.Version()), Slot: c.member.ID.Slot(), Token: c.member.ID.Token()}
	if !c.letIn {
		f.Flags = link.FlagNew
	}
	f.Payload = link.AppendAttachment(nil, &link.Attachment{
		Version: c.member.Version(), UIDVersion: c.member.UIDVersion(), Remote: c.request.Remote, Listener: "memory://", UID: c.member.UID(),
		Target: c.request.Target, Headers: c.request.headers(), Attrs: c.member.Attrs(),
	})
	seq := g.link.sequenced(&f)
	if !c.letIn {
		g.link.coming = append(g.link.coming, coming{seq, c})
	}
}

// Dial connects a client. While no worker is there it waits for one.
func (g *Gateway) Dial(r Request) *Client {
	g.tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaitLink()
	if r.Remote == "" {
		r.Remote = "192.0.2.1:1234"
	}
	c := &Client{g: g, request: r}
	c.more.L = &g.mu
	c.member.ID = link.MakeClientID(gatewayID, 0, uint32(len(g.sessions)), rand.Uint64())
	g.sessions = append(g.sessions, c)
	g.members.Add(&c.member)
	g.attach(c)
	return c
}

// wire is one end of a pipe that is written to from a goroutine of its own: a reader may answer without waiting for the other side to read.
type wire struct {
	conn net.Conn
	mu   sync.Mutex
	more sync.Cond
	out  []byte // guarded by mu
	seq  uint32 // guarded by mu
	done bool   // guarded by mu

	coming []coming // guarded by the Gateway's mu: clients that the worker has yet to let in
}

// coming is a client whose coming has been told with a sequence.
type coming struct {
	seq    uint32
	client *Client
}

func newWire(conn net.Conn) *wire {
	w := &wire{conn: conn}
	w.more.L = &w.mu
	go w.write()
	return w
}

func (w *wire) write() {
	for {
		w.mu.Lock()
		for len(w.out) == 0 && !w.done {
			w.more.Wait()
		}
		b := w.out
		w.out = nil
		w.mu.Unlock()
		if len(b) == 0 {
			return
		}
		if _, err := w.conn.Write(b); err != nil {
			return
		}
	}
}

func (w *wire) send(f *link.Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = link.Append(w.out, f)
	w.more.Signal()
}

func (w *wire) sequenced(f *link.Frame) (seq uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	f.ID = w.seq
	w.out = link.Append(w.out, f)
	w.more.Signal()
	return f.ID
}

// read hands all frames to f until the pipe or f ends it.
func (w *wire) read(f func(*wire, *link.Frame) bool) {
	defer func() {
		w.mu.Lock()
		w.done = true
		w.more.Signal()
		w.mu.Unlock()
		_ = w.conn.Close()
	}()
	for {
		var size [4]byte
		if _, err := io.ReadFull(w.conn, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint32(size[:]))
		copy(b, size[:])
		if _, err := io.ReadFull(w.conn, b[4:]); err != nil {
			return
		}
		var frame link.Frame
		if n, err := link.Next(b, link.MaxFrame, &frame); n == 0 || err != nil || !f(w, &frame) {
			return
		}
	}
}
