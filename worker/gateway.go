package worker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// gateway is one address where the worker keeps links. For each loop of the gateway there, a
// goroutine (its keeper) keeps a link up.
type gateway struct {
	// Static after newGateway.
	w       *Worker
	addr    string
	fixed   bool   // it is in Config.Gateways, and never given up
	leaving uint32 // the id of a gateway that drains and has a successor (successor.go); else 0

	giveUp   context.CancelFunc // ends the keepers; static after addresses.start
	unlisted atomic.Bool        // Config.Discover does not list it any more
	keepers  sync.WaitGroup

	mu       sync.Mutex
	id       uint32       // guarded by mu: 0 before the first hello
	loops    int          // guarded by mu
	answered bool         // guarded by mu: a gateway has answered
	kept     map[int]bool // guarded by mu: loops that have a keeper; bound: none, one for each loop
	up       map[int]bool // guarded by mu: loops that have had a link; nil: all have; bound: none, one for each loop
	helloID  uint32       // guarded by mu: the id in the last hello; 0 before the first one
	invokes  bool         // guarded by mu: the last hello says that the gateway answers Invoke
	shares   bool         // guarded by mu: and that others can stand in for it
	reports  bool         // guarded by mu: the last hello says that the gateway takes reports
	holder   string       // guarded by mu: the logged address that holds the links to this gateway
}

func newGateway(w *Worker, addr string) *gateway {
	return &gateway{w: w, addr: addr, kept: map[int]bool{0: true}, up: make(map[int]bool)}
}

// keep keeps all links up until ctx ends. It does not end links that are up then.
func (g *gateway) keep(ctx context.Context) {
	g.mu.Lock()
	for loop := range g.kept {
		g.keepers.Go(func() { g.keepLoop(ctx, loop) })
	}
	g.mu.Unlock()
	g.keepers.Wait()
}

const (
	firstRedial = 50 * time.Millisecond
	lastRedial  = 800 * time.Millisecond // a second with jitter
)

// assumeGoneAfter is how long a draining gateway may fail to answer before it counts as gone.
const assumeGoneAfter = 10 * time.Second

// logEvery is how often a worker logs that it cannot connect.
const logEvery = 10 * time.Second

// retryDelay returns the pause before the next attempt after the given number of failures. It
// doubles, most of it is jitter, and it is never more than a second, so that a gateway that returns
// is dialled within a second.
func retryDelay(failures int) time.Duration {
	d := backoff.Delay(firstRedial, lastRedial, failures+1)
	return d/4 + rand.N(d)
}

// keepLoop keeps the link to one loop up.
func (g *gateway) keepLoop(ctx context.Context, loop int) {
	failures := 0
	var logged, failing time.Time
	for ctx.Err() == nil && g.keeps(loop) {
		if g.leaving != 0 {
			g.awaitOldLink(loop)
		}
		l, err := g.dial(ctx, loop)
		if err == nil {
			failures = 0
			if ctx.Err() != nil {
				l.end(ctx.Err()) // Run may have ended the other links before this one was made
			}
			l.start()
			if g.awaitLinkEnd(l) && ctx.Err() == nil {
				g.w.stats.reconnects.Add(1)
				g.w.addresses.linkLost()
			}
		} else if other, ok := errors.AsType[*heldElsewhere](err); ok {
			if g.unlisted.Load() {
				g.giveUp()
				return
			}
			g.standBy(ctx, other)
			continue
		} else if ctx.Err() == nil {
			g.w.readiness.set(g, unreachable)
			g.w.addresses.linkLost()
			if failures++; failures == 1 {
				failing = time.Now()
			}
			if g.isOver(err, failing) {
				return
			}
			if g.leaving == 0 && (failures == 1 || time.Since(logged) >= logEvery) {
				logged = time.Now()
				g.w.log.Warn("link to the gateway failed, retrying",
					"addr", g.addr, "loop", loop, "attempts", failures, "err", err)
			}
		}
		backoff.Sleep(ctx, retryDelay(failures))
	}
}

// isOver reports whether the keeper ends because the gateway has gone for good: one that drains and
// has a successor, or one that is not listed any more and that no keeper of the address reaches.
// failing is when the attempts to connect began to fail.
func (g *gateway) isOver(err error, failing time.Time) bool {
	if g.leaving == 0 && (!g.unlisted.Load() || g.w.claims.linked(g)) {
		return false
	}
	if !isGone(err) && time.Since(failing) < assumeGoneAfter {
		return false
	}
	if g.leaving == 0 {
		g.giveUp() // the other keepers of the address too
	}
	return true
}

// keeps reports whether a link to the loop is still needed. If not, the loop's keeper ends. If the
// gateway restarts with that loop, it gets a new keeper.
func (g *gateway) keeps(loop int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if loop == 0 || loop < g.loops {
		return true
	}
	delete(g.kept, loop)
	return false
}

// dialTimeout bounds dialling. The exchange of hellos has its own limit.
const dialTimeout = 5 * time.Second

// dial makes the link to one loop.
func (g *gateway) dial(ctx context.Context, loop int) (*gwLink, error) {
	if err := g.claimAddress(ctx); err != nil {
		return nil, err
	}
	role := link.RoleWorker
	if g.w.cfg.NoClients {
		role = link.RolePublisher
	}
	conn, hello, err := g.handshake(ctx, role, loop)
	if err != nil {
		return nil, err
	}
	if g.leaving != 0 && hello.ID != g.leaving {
		err = errGone
	} else {
		err = g.claim(ctx, &hello) // another gateway may answer now than answered the probe
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	l := newLink(g.w, conn, g.peerAddr(hello.Advertise), hello)
	g.register(ctx, l)
	return l, nil
}

// peerAddr returns the address at which other gateways reach this one.
func (g *gateway) peerAddr(advertised string) string {
	if advertised == "" {
		return g.addr
	}
	_, port, _ := net.SplitHostPort(g.addr)
	if number, err := strconv.ParseUint(port, 10, 16); g.leaving != 0 && err == nil {
		return withPort(advertised, uint16(number)) // the advertised port belongs to its successor now
	}
	return advertised
}

// handshake connects to the gateway and exchanges hellos with it.
func (g *gateway) handshake(ctx context.Context, role link.Role, loop int) (net.Conn, link.GatewayHello, error) {
	dialling, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := g.connect(dialling)
	if err != nil {
		return nil, link.GatewayHello{}, fmt.Errorf("worker: dial: %w", err)
	}
	// The end of Run must not wait for a gateway that does not answer.
	unwatch := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	hello, err := link.Connect(conn, g.w.cfg.Key, link.WorkerHello{
		Role: role, Loop: uint16(loop), Weight: uint16(g.w.cfg.Weight), Window: uint32(g.w.cfg.Window),
		ID: g.w.id, Name: g.w.cfg.Name, Build: g.w.cfg.Build,
	})
	if err == nil && !unwatch() {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, hello, err
	}
	if err := checkLargestFrame(hello.MaxFrame); err != nil {
		_ = conn.SetWriteDeadline(time.Now().Add(goAwayTimeout))
		f := link.Frame{Type: link.GoAway, Code: uint16(link.Refused), Payload: []byte(err.Error())}
		_, _ = conn.Write(link.Append(nil, &f))
		_ = conn.Close()
		return nil, hello, err
	}
	g.noteHello(&hello)
	return conn, hello, nil
}

// checkLargestFrame returns an error if the gateway accepts less than what handlers may send.
func checkLargestFrame(n uint32) error {
	if n < link.MaxFrame {
		return fmt.Errorf("worker: largest frame of the gateway: %d bytes: must be at least %d", n, link.MaxFrame)
	}
	return nil
}

// connect dials the gateway. The TLS handshake is made with the first hello.
func (g *gateway) connect(ctx context.Context) (net.Conn, error) {
	conn, err := g.dialPlain(ctx)
	if err != nil || g.w.cfg.TLS == nil {
		return conn, err
	}
	return secureLink{tls.Client(conn, link.ServerName(g.w.cfg.TLS, g.addr)), conn}, nil
}

// secureLink is a link with TLS.
type secureLink struct {
	net.Conn
	below net.Conn
}

// Close closes the connection at once, without close_notify: that would wait for a gateway that
// does not read. The protocol of links has messages of its own for a proper end.
func (s secureLink) Close() error { return s.below.Close() }

func (g *gateway) dialPlain(ctx context.Context) (net.Conn, error) {
	if g.w.cfg.Dial != nil {
		return g.w.cfg.Dial(ctx, g.addr)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", g.addr)
	if err != nil {
		return nil, err
	}
	return poll(conn, &g.w.polling), nil
}

// register records what a hello says, starts keepers for new loops, and adds the link to the
// routes.
func (g *gateway) register(ctx context.Context, l *gwLink) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgetFormer(l.gateway)
	g.noteAnswer()
	g.w.readiness.set(g, answering)
	g.id, g.loops, g.holder = l.gateway, int(l.loops), ""
	for loop := range g.loops {
		if !g.kept[loop] {
			g.kept[loop] = true
			g.keepers.Go(func() { g.keepLoop(ctx, loop) })
		}
	}
	g.w.routes.set(l)
	g.noteUp(int(l.loop))
}

// forgetFormer forgets the gateway that had the address before the one with this id, unless another
// address leads to it now. Called with mu.
func (g *gateway) forgetFormer(now uint32) {
	if g.id != 0 && g.id != now && !g.w.claims.byAnother(g, g.id) {
		g.w.routes.forget(g.id)
	}
}

// forget forgets the gateway at the address, which is given up.
func (g *gateway) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgetFormer(0)
	g.w.claims.release(g)
	g.noteAnswer() // none is expected any more
}

// noteAnswer records that a gateway has answered. Called with mu.
func (g *gateway) noteAnswer() {
	if !g.answered {
		g.answered = true
		g.w.unanswered.Add(-1)
	}
}

// noteUp records that the link to a loop has been up. When all have been, the address is settled.
// Called with mu.
func (g *gateway) noteUp(loop int) {
	if g.up == nil {
		return
	}
	g.up[loop] = true
	for i := range g.loops {
		if !g.up[i] {
			return
		}
	}
	g.up = nil
	g.w.readiness.set(g, settled)
}

// noteHello records what the gateway at the address has said of itself last.
func (g *gateway) noteHello(hello *link.GatewayHello) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.helloID, g.invokes, g.shares, g.reports = hello.ID, hello.Invokes, hello.Shares, hello.Reports
}

// lastHello returns what noteHello has recorded.
func (g *gateway) lastHello() (id uint32, invokes, answered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.helloID, g.invokes, g.helloID != 0
}

// sharesInvoke reports whether the gateway has said in its last hello that others can stand in for
// it.
func (g *gateway) sharesInvoke() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shares
}

// takesReports reports whether the gateway has said in its last hello that it takes reports.
func (g *gateway) takesReports() (takes, answered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reports, g.helloID != 0
}
