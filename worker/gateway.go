package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// gateway is one address of Config.Gateways. For each loop of the gateway there a goroutine keeps a link up.
type gateway struct {
	// Static after newGateway.
	w       *Worker
	addr    string
	leaving uint32 // the id of the gateway, when it drains behind a successor (successor.go); else 0

	keepers sync.WaitGroup

	mu    sync.Mutex
	id    uint32       // guarded by mu: 0 before the first hello
	loops int          // guarded by mu
	seen  bool         // guarded by mu: a gateway has answered
	kept  map[int]bool // guarded by mu: loops that have a keeper; bound: none, one for each loop
	up    map[int]bool // guarded by mu: loops whose link has been up; nil once all have; bound: none, one for each loop
	twin  string       // guarded by mu: the address that keeps the links to the gateway here, as the log has it
}

func newGateway(w *Worker, addr string) *gateway {
	return &gateway{w: w, addr: addr, kept: map[int]bool{0: true}, up: make(map[int]bool)}
}

// keep keeps all links up until ctx ends; those that are up then end by themselves.
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
	lastRedial  = 800 * time.Millisecond // with its random part a second
)

// goneAfter is how long a gateway that drains behind a successor may not answer before it is taken for gone.
const goneAfter = 10 * time.Second

// tellEvery is how often a worker that dials in vain says so.
const tellEvery = 10 * time.Second

// retryDelay is how long to wait before the next attempt: most of it is random, and it is never more than a second, so that a gateway that is back is dialled within one.
func retryDelay(failures int) time.Duration {
	d := backoff.Delay(firstRedial, lastRedial, failures+1)
	return d/4 + rand.N(d)
}

// keepLoop keeps the link to one loop up.
func (g *gateway) keepLoop(ctx context.Context, loop int) {
	failures := 0
	var told, failing time.Time
	for ctx.Err() == nil && g.keeps(loop) {
		if g.leaving != 0 {
			g.awaitEnd(loop)
		}
		l, err := g.dial(ctx, loop)
		if err == nil {
			failures = 0
			if ctx.Err() != nil {
				l.end(ctx.Err()) // Run may have looked for links to end before this one was there
			}
			l.start()
			if g.stay(ctx, l) && ctx.Err() == nil {
				g.w.stats.reconnects.Add(1)
			}
		} else if other, ok := errors.AsType[*elsewhere](err); ok {
			g.standBy(ctx, other)
			continue
		} else if ctx.Err() == nil {
			g.w.readiness.set(g, silent)
			if failures++; failures == 1 {
				failing = time.Now()
			}
			if g.leaving != 0 {
				if isGone(err) || time.Since(failing) > goneAfter {
					return
				}
			} else if failures == 1 || time.Since(told) >= tellEvery {
				told = time.Now()
				g.w.log.Warn("no link: trying on", "gateway", g.addr, "loop", loop, "attempts", failures, "err", err)
			}
		}
		backoff.Sleep(ctx, retryDelay(failures))
	}
}

// keeps reports whether a link to the loop is wanted still. If not the loop's keeper ends; should the gateway come back with that loop, it gets a new one.
func (g *gateway) keeps(loop int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if loop == 0 || loop < g.loops {
		return true
	}
	delete(g.kept, loop)
	return false
}

// helloTime bounds dialling; the hello has its own bound.
const helloTime = 5 * time.Second

// dial opens the link to one loop.
func (g *gateway) dial(ctx context.Context, loop int) (*gwLink, error) {
	if err := g.identify(ctx); err != nil {
		return nil, err
	}
	conn, hello, err := g.handshake(ctx, link.RoleWorker, loop)
	if err != nil {
		return nil, err
	}
	if g.leaving != 0 && hello.ID != g.leaving {
		err = errGone
	} else {
		err = g.claim(ctx, &hello) // another may have answered than a moment ago
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	l := newLink(g.w, conn, g.reached(hello.Advertise), hello)
	g.enter(ctx, l)
	return l, nil
}

// reached is where other gateways reach this one.
func (g *gateway) reached(advertised string) string {
	if advertised == "" {
		return g.addr
	}
	_, port, _ := net.SplitHostPort(g.addr)
	if number, err := strconv.ParseUint(port, 10, 16); g.leaving != 0 && err == nil {
		return withPort(advertised, uint16(number)) // the port that it advertised is its successor's
	}
	return advertised
}

// handshake connects to the gateway and exchanges hellos with it.
func (g *gateway) handshake(ctx context.Context, role link.Role, loop int) (net.Conn, link.GatewayHello, error) {
	dialling, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	conn, err := g.connect(dialling)
	if err != nil {
		return nil, link.GatewayHello{}, fmt.Errorf("worker: dial: %w", err)
	}
	// An end of Run must not wait for a gateway that says nothing.
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
		_ = conn.SetWriteDeadline(time.Now().Add(goAwayWithin))
		_, _ = conn.Write(link.Append(nil, &link.Frame{Type: link.GoAway, Code: uint16(link.Refused), Payload: []byte(err.Error())}))
		_ = conn.Close()
		return nil, hello, err
	}
	return conn, hello, nil
}

// checkLargestFrame refuses a gateway that takes less than what handlers may send.
func checkLargestFrame(n uint32) error {
	if n < link.MaxFrame {
		return fmt.Errorf("worker: the gateway's largest frame has %d bytes, and handlers may send %d", n, link.MaxFrame)
	}
	return nil
}

func (g *gateway) connect(ctx context.Context) (net.Conn, error) {
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

// enter notes what a hello says, starts keepers for loops that have none, and puts the link into the routes.
func (g *gateway) enter(ctx context.Context, l *gwLink) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.id != 0 && g.id != l.gateway {
		g.w.routes.forget(g.id)
	}
	g.noteAnswer()
	g.w.readiness.set(g, answering)
	g.id, g.loops, g.twin = l.gateway, int(l.loops), ""
	for loop := range g.loops {
		if !g.kept[loop] {
			g.kept[loop] = true
			g.keepers.Go(func() { g.keepLoop(ctx, loop) })
		}
	}
	g.w.routes.set(l)
	g.noteUp(int(l.loop))
}

// noteAnswer notes that a gateway has answered. Called with mu.
func (g *gateway) noteAnswer() {
	if !g.seen {
		g.seen = true
		g.w.unseen.Add(-1)
	}
}

// noteUp tells the worker, once, that each of the loops the gateway has now has had a link. Called with mu.
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
