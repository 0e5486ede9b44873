// Package workertest tests business code without a gateway process and without sockets. It provides
// a gateway in memory, whose clients the test controls.
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
// Groups, uids and attributes are implemented by the code of real gateways. Clients are admitted by
// Connect as usual. The gateway has one event loop and none of a real gateway's protections:
// limits, heartbeats and bounds for slow clients. A handler that uses a Call after its end fails
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
	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/worker"
)

// Timeout is how long methods such as Expect wait before they fail the test.
const Timeout = 5 * time.Second

// Gateway is a gateway in memory with one worker. Its methods must be called by the test's
// goroutine.
type Gateway struct {
	tb     testing.TB
	config worker.Config

	worker *worker.Worker
	stop   func() // stops the worker and waits until it has ended
	asks   bool   // the worker has Handler.Authenticate

	mu       sync.Mutex
	members  *registry.Registry                            // guarded by mu
	sessions []*Client                                     // guarded by mu: by slot; slots are not reused
	link     *wire                                         // guarded by mu: nil while no worker is connected
	last     [16]byte                                      // guarded by mu: the id of the worker that has connected last
	drained  bool                                          // guarded by mu: that worker has drained
	linked   sync.Cond                                     // on mu: link has been set
	clock    uint64                                        // guarded by mu: the time of bindings
	onInvoke func(context.Context, []byte) ([]byte, error) // guarded by mu
	asking   *Client                                       // guarded by mu: the client that Authenticate was asked about
	question uint32                                        // guarded by mu: number of the last such question

	invocations sync.WaitGroup // running calls of onInvoke
	calls       calls
}

// New starts a gateway and a worker with the handler. Both end with the test.
func New(tb testing.TB, h worker.Handler) *Gateway {
	tb.Helper()
	return NewWithConfig(tb, h, worker.Config{})
}

// NewWithConfig is New with a configuration for the worker. Its Gateways and Dial are ignored. If
// it has no Logger, the worker's warnings and errors, such as the stack of a panic, are in the
// output of the test.
func NewWithConfig(tb testing.TB, h worker.Handler, cfg worker.Config) *Gateway {
	tb.Helper()
	g := &Gateway{tb: tb, config: cfg, members: registry.New(registry.Limits{})}
	g.linked.L = &g.mu
	if g.config.Logger == nil {
		g.config.Logger = slog.New(newTestLog(tb))
	}
	g.calls.sums = make(map[string]*stats.Row)
	if g.config.OnStats == nil {
		g.config.OnStats = g.calls.take
	}
	g.config.Gateways = []string{memory}
	g.config.Dial = g.dial
	g.startWorker(h)
	tb.Cleanup(func() {
		g.stop()
		g.invocations.Wait()
	})
	return g
}

// memory is the address of a gateway.
const memory = "memory"

// dial connects to the gateway.
func (g *Gateway) dial(context.Context, string) (net.Conn, error) {
	near, far := net.Pipe()
	go g.accept(far)
	return near, nil
}

func (g *Gateway) startWorker(h worker.Handler) {
	g.tb.Helper()
	g.asks = h.Authenticate != nil
	w, err := worker.New(g.config, h)
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
			g.tb.Errorf("workertest: the worker has ended: %v", err)
		}
		if n := w.Stats().LateEffects; n > 0 {
			g.tb.Errorf("workertest: %d effects came after the end of their calls; the log has a stack", n)
		}
	})
	select {
	case <-w.Ready():
	case err := <-ended:
		g.tb.Fatalf("workertest: the worker did not start: %v", err)
	case <-time.After(Timeout):
		g.tb.Fatalf("workertest: the worker did not connect within %v", Timeout)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaitLink() // accept may not have finished yet
}

// awaitLink waits until a worker is connected. Called with mu.
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
		g.tb.Fatalf("workertest: no worker connected within %v", Timeout)
	}
}

// OnInvoke sets the function that answers Worker.Invoke, as gateway.Config.OnInvoke does. Without
// one, Invoke returns worker.ErrRefused.
func (g *Gateway) OnInvoke(f func(ctx context.Context, payload []byte) ([]byte, error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.onInvoke = f
}

// Worker returns the present worker.
func (g *Gateway) Worker() *worker.Worker { return g.worker }

// RestartWorker replaces the worker by a new one, as an upgrade does. The old worker finishes its
// events. The clients stay connected and move to the new worker, which adopts them
// (worker.Handler.Adopt), also those that send nothing: all at once, while a real gateway gives a
// worker so many of these in a second (gateway.Config.AdoptRate).
//
// The new worker has the handler that newHandler returns. newHandler makes all of the state of the
// handler anew, because the memory of a worker ends with it.
func (g *Gateway) RestartWorker(newHandler func() worker.Handler) {
	g.tb.Helper()
	g.stop()
	g.startWorker(newHandler())
}

// ExpectCalls waits until the statistics have that many calls of an interface since the beginning
// of the test, such as "message" or a name that a handler has given with Call.Interface. It fails
// the test if there are more, or if not as many of them have failed. Figures are up to a second
// late.
func (g *Gateway) ExpectCalls(name string, calls, failed int) {
	g.tb.Helper()
	count, bad := g.calls.of(name)
	for end := time.Now().Add(Timeout); count < calls && time.Now().Before(end); count, bad = g.calls.of(name) {
		time.Sleep(5 * time.Millisecond)
	}
	if count != calls || bad != failed {
		g.tb.Fatalf("workertest: %d calls of %q, of which %d have failed: want %d and %d", count, name, bad, calls, failed)
	}
}

// gatewayID is the id of the gateway in memory.
const gatewayID = 1

// listenerURL is the URL of its listener.
const listenerURL = "memory://"

// accept handles the gateway's end of a link.
func (g *Gateway) accept(conn net.Conn) {
	hello, err := link.Accept(conn, g.config.Key, func(link.WorkerHello) (link.GatewayHello, error) {
		return link.GatewayHello{
			ID: gatewayID, Epoch: 1, Loops: 1, MaxFrame: link.MaxFrame, Name: "workertest", Invokes: true,
		}, nil
	})
	if err != nil {
		_ = conn.Close()
		return
	}
	w := newWire(conn)
	if hello.Role == link.RolePublisher {
		w.read(g.frame)
		return
	}
	g.mu.Lock()
	cause := link.CauseLinkLost
	switch {
	case g.drained:
		cause = link.CauseDrained
	case hello.ID != g.last:
		cause = link.CauseDied
	}
	g.last, g.drained = hello.ID, false
	g.link = w
	g.linked.Broadcast()
	for _, c := range g.sessions {
		if c.state == open {
			g.attach(c, cause)
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

// attach gives a client to the worker. cause is why, unless the client is new. Called with mu.
func (g *Gateway) attach(c *Client, cause link.Cause) {
	f := link.Frame{
		Type: link.Attach, Code: uint16(c.member.Version()), ID: c.number,
		Slot: c.member.ID.Slot(), Token: c.member.ID.Token(),
	}
	if !c.admitted {
		f.Flags, cause = link.FlagNew, link.CauseConnect
	}
	f.Payload = link.AppendAttachment(nil, &link.Attachment{
		Cause: cause, Version: c.member.Version(), UIDVersion: c.member.UIDVersion(), UID: c.member.UID(),
		Remote: c.request.Remote, Listener: listenerURL,
		Target: c.request.Target, Headers: c.request.headers(), Attrs: c.member.Attrs(),
	})
	g.link.send(&f)
}

// Dial connects a client. If no worker is connected it waits for one. A client with a Target is a
// WebSocket: the handler's Authenticate is asked about it. If that refuses it, ExpectRefused passes
// with the text of worker.RefuseStatus. The time in Identity.Expires has no effect.
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
	if g.asks && r.Target != "" {
		if !g.authenticate(c) {
			return c
		}
		r = c.request
	}
	g.sessions = append(g.sessions, c)
	g.members.Add(&c.member)
	if r.UID != "" {
		g.clock++
		g.members.Bind(&c.member, r.UID, g.clock)
	}
	if len(r.Attrs) > 0 && !g.members.Set(&c.member, r.attributes(), false) {
		g.tb.Fatalf("workertest: Request.Attrs: %d bytes: must be at most %d",
			link.AttributesSize(r.attributes()), link.MaxAttributes)
	}
	g.attach(c, link.CauseConnect)
	return c
}

// wire is one end of a pipe. It writes on a goroutine of its own, so that a reader can answer
// without waiting until the other side reads.
type wire struct {
	conn net.Conn
	mu   sync.Mutex
	more sync.Cond
	out  []byte // guarded by mu
	done bool   // guarded by mu
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

// read calls f for each frame until the pipe ends or f returns false.
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
