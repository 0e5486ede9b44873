package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// Two addresses may lead to the same gateway: localhost and 127.0.0.1, or a name that has been given another address. Links by both would replace each other without end,
// for a gateway has one link of a worker to each loop. So one of the addresses keeps the links, and the other stands by. Whose they are is found out before
// a worker's hello goes there: by a probe, which the gateway answers with its id, and which replaces nothing.

// claim says which address keeps the links to a gateway.
type claim struct {
	by    *gateway
	epoch uint64    // of the gateway that has answered there
	since time.Time // it did
}

// claims are those of all gateways that have answered, by id; at most one an address.
type claims struct {
	routes *routes
	mu     sync.Mutex       // nothing else is locked under it
	of     map[uint32]claim // bound: none, one for each gateway
}

func (c *claims) init(r *routes) { c.routes, c.of = r, make(map[uint32]claim) }

// take makes the links to the gateway that has answered the address's own. If another address keeps them it returns that one's claim, and false.
func (c *claims) take(g *gateway, hello *link.GatewayHello) (holder claim, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if holder = c.of[hello.ID]; holder.by != g && c.holds(hello.ID) {
		return holder, false
	}
	for id, held := range c.of {
		if held.by == g {
			delete(c.of, id)
		}
	}
	c.of[hello.ID] = claim{g, hello.Epoch, time.Now()}
	return c.of[hello.ID], true
}

// holds reports whether an address keeps the links to a gateway: one is up, or is to be in a moment. Called with mu.
func (c *claims) holds(id uint32) bool {
	held, ok := c.of[id]
	return ok && (c.routes.any(id) != nil || time.Since(held.since) < helloTime)
}

// held reports whether an address keeps the links to a gateway.
func (c *claims) held(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holds(id)
}

// linked reports whether the address has a link up to the gateway that it keeps the links to.
func (c *claims) linked(g *gateway) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, held := range c.of {
		if held.by == g {
			return c.routes.any(id) != nil
		}
	}
	return false
}

// elsewhere is why an address gets no links: another one keeps those to a gateway of this id.
type elsewhere struct {
	gateway uint32
	holder  string // the other address
	stance  stance
}

func (e *elsewhere) Error() string {
	return fmt.Sprintf("worker: the links to gateway %d are kept by way of %s", e.gateway, e.holder)
}

// stance is what two addresses where gateways of the same id answer are to each other.
type stance uint8

const (
	unknown  stance = iota // the gateway may have been started anew, and not be known as gone there
	oneTwice               // they lead to the same gateway
	namesake               // they lead to two gateways that were given the same id
)

// identify finds out who answers at the address, unless it is known or nobody else could be at it. An error is *elsewhere, or says why nobody answered.
func (g *gateway) identify(ctx context.Context) error {
	if len(g.w.cfg.Gateways) == 1 || g.leaving != 0 || g.w.claims.linked(g) {
		return nil
	}
	hello, err := g.probe(ctx)
	if err != nil {
		return err
	}
	return g.claim(ctx, &hello)
}

// probe asks for the hello of the gateway at the address.
func (g *gateway) probe(ctx context.Context) (link.GatewayHello, error) {
	conn, hello, err := g.handshake(ctx, link.RoleProbe, 0)
	if err == nil {
		_ = conn.Close()
	}
	return hello, err
}

// claim makes the links to the gateway that has answered the address's own, or returns *elsewhere.
func (g *gateway) claim(ctx context.Context, hello *link.GatewayHello) error {
	if g.leaving != 0 {
		return nil // these are the links of an address that is a successor's now (successor.go)
	}
	holder, mine := g.w.claims.take(g, hello)
	if mine {
		return nil
	}
	e := &elsewhere{gateway: hello.ID, holder: holder.by.addr, stance: oneTwice}
	if holder.epoch != hello.Epoch {
		switch there, err := holder.by.probe(ctx); {
		case err != nil || there.ID != hello.ID:
			e.stance = unknown
		case there.Epoch != hello.Epoch:
			e.stance = namesake
		}
	}
	return e
}

// askEvery is how often an address that stands by is asked whether it leads to the same gateway still.
const askEvery = 10 * time.Second

// standBy waits until no other address keeps the gateway's links, or it is time to ask again.
func (g *gateway) standBy(ctx context.Context, e *elsewhere) {
	g.note(e)
	for until := time.Now().Add(askEvery); ctx.Err() == nil && time.Now().Before(until) && g.w.claims.held(e.gateway); {
		backoff.Sleep(ctx, time.Second)
	}
}

// note says in the log, and to whoever waits for the worker to be ready, why the address has no links.
func (g *gateway) note(e *elsewhere) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.id != 0 && g.id != e.gateway {
		g.w.routes.forget(g.id)
	}
	g.id, g.loops = 0, 0
	switch e.stance {
	case oneTwice:
		g.noteAnswer()
		g.w.readiness.set(g, settled)
		if g.twin != e.holder {
			g.twin = e.holder
			g.w.log.Warn("two addresses lead to the same gateway: one of them keeps the links", "gateway", e.gateway, "addr", e.holder, "other", g.addr)
		}
	case namesake:
		g.w.readiness.set(g, silent)
		g.w.log.Error("two gateways have the same id: only one of them is served, give each an id of its own", "gateway", e.gateway, "served", e.holder, "not", g.addr)
	}
}
