package worker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// Two addresses may lead to the same gateway, such as localhost and 127.0.0.1. A gateway has one
// link of a worker to each of its loops, so links by both addresses would replace each other again
// and again. Therefore one address holds the links and the other one stands by. Before the worker
// links to an address, it asks by a probe for the id of the gateway there. The gateway answers a
// probe with its hello and keeps its other links.

// claim says which address holds the links to a gateway.
type claim struct {
	by    *gateway
	epoch uint64    // epoch of the gateway that has answered there
	since time.Time // when it answered
}

// claims are the claims to all gateways that have answered, by id. Each address has at most one.
type claims struct {
	routes *routes
	mu     sync.Mutex       // nothing else is locked under it
	of     map[uint32]claim // bound: none, one for each gateway
}

func (c *claims) init(r *routes) { c.routes, c.of = r, make(map[uint32]claim) }

// take claims the links to the gateway that has answered for its address. If another address holds
// them, it returns that address's claim and false.
func (c *claims) take(g *gateway, hello *link.GatewayHello) (holder claim, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if holder = c.of[hello.ID]; holder.by != g && c.holds(hello.ID) {
		return holder, false
	}
	maps.DeleteFunc(c.of, func(_ uint32, held claim) bool { return held.by == g })
	c.of[hello.ID] = claim{g, hello.Epoch, time.Now()}
	return c.of[hello.ID], true
}

// release gives back what an address has claimed.
func (c *claims) release(g *gateway) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.of, func(_ uint32, held claim) bool { return held.by == g })
}

// byAnother reports whether another address than g has claimed the links to a gateway.
func (c *claims) byAnother(g *gateway, id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, ok := c.of[id]
	return ok && held.by != g
}

// holds reports whether an address holds the links to a gateway: one is up, or the claim is so new
// that one may soon be. Called with mu.
func (c *claims) holds(id uint32) bool {
	held, ok := c.of[id]
	return ok && (c.routes.any(id) != nil || time.Since(held.since) < dialTimeout)
}

// held reports whether an address holds the links to a gateway.
func (c *claims) held(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holds(id)
}

// linked reports whether the address holds the links to a gateway and one of them is up.
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

// heldElsewhere is the error of an address that gets no links because another address holds those
// to a gateway of the same id.
type heldElsewhere struct {
	gateway  uint32
	holder   string // the other address
	listed   bool   // Config.Discover has listed the other address
	relation relation
}

func (e *heldElsewhere) Error() string {
	return fmt.Sprintf("worker: address %s holds the links to gateway %d", e.holder, e.gateway)
}

// relation is the relation of two addresses at which gateways with the same id answer.
type relation uint8

const (
	unknownRelation relation = iota // the gateway may have restarted, and the other address has not noticed yet
	sameGateway                     // they lead to the same gateway
	sameID                          // they lead to two gateways that are configured with the same id
)

// claimAddress claims the links to the gateway at the address. It does nothing if the address has
// links already or is the only one. The error is a *heldElsewhere, or says why the gateway has not
// answered.
func (g *gateway) claimAddress(ctx context.Context) error {
	single := g.w.cfg.Discover == nil && len(g.w.cfg.Gateways) == 1
	if single || g.leaving != 0 || g.w.claims.linked(g) {
		return nil
	}
	hello, err := g.probe(ctx)
	if err != nil {
		return err
	}
	return g.claim(ctx, &hello)
}

// probe returns the hello of the gateway at the address.
func (g *gateway) probe(ctx context.Context) (link.GatewayHello, error) {
	conn, hello, err := g.handshake(ctx, link.RoleProbe, 0)
	if err == nil {
		_ = conn.Close()
	}
	return hello, err
}

// claim claims the links to the gateway that has answered, or returns a *heldElsewhere.
func (g *gateway) claim(ctx context.Context, hello *link.GatewayHello) error {
	if g.leaving != 0 {
		return nil // the gateway drains, and its address now belongs to a successor (successor.go)
	}
	holder, ok := g.w.claims.take(g, hello)
	if ok {
		return nil
	}
	e := &heldElsewhere{gateway: hello.ID, holder: holder.by.addr, listed: !holder.by.fixed, relation: sameGateway}
	if holder.epoch != hello.Epoch {
		switch there, err := holder.by.probe(ctx); {
		case err != nil || there.ID != hello.ID:
			e.relation = unknownRelation
		case there.Epoch != hello.Epoch:
			e.relation = sameID
		}
	}
	return e
}

// recheckEvery is how often an address that stands by is probed again.
const recheckEvery = 10 * time.Second

// standBy waits until no other address holds the gateway's links, the address is not listed any
// more, or recheckEvery has passed.
func (g *gateway) standBy(ctx context.Context, e *heldElsewhere) {
	g.noteHolder(e)
	until := time.Now().Add(recheckEvery)
	for ctx.Err() == nil && time.Now().Before(until) && g.w.claims.held(e.gateway) && !g.unlisted.Load() {
		backoff.Sleep(ctx, time.Second)
	}
}

// noteHolder records and logs why the address has no links, and updates the readiness of the
// worker.
func (g *gateway) noteHolder(e *heldElsewhere) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgetFormer(e.gateway)
	g.id, g.loops = 0, 0
	switch e.relation {
	case sameGateway:
		g.noteAnswer()
		g.w.readiness.set(g, settled)
		if g.holder != e.holder {
			g.holder = e.holder
			level := slog.LevelInfo // what lists gateways may have a name for one that Config.Gateways has
			if g.fixed && !e.listed {
				level = slog.LevelWarn
			}
			g.w.log.Log(context.Background(), level, "two addresses lead to the same gateway, using one of them",
				"gateway", e.gateway, "addr", e.holder, "unused", g.addr)
		}
	case sameID:
		g.w.readiness.set(g, unreachable)
		g.w.log.Error("two gateways have the same id, using one of them; give each gateway its own id",
			"gateway", e.gateway, "addr", e.holder, "unused", g.addr)
	}
}
