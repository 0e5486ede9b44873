package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// These are the errors of Control.
var (
	// ErrNoClient is returned when the client is not connected to this gateway.
	ErrNoClient = errors.New("gateway: no such client")
	// ErrTarget is returned for a Target, a cursor or another argument that is not valid.
	ErrTarget = errors.New("gateway: invalid argument")
	// ErrNotRunning is returned before Ready, and when the loops have stopped.
	ErrNotRunning = errors.New("gateway: not running")
)

// Control lists, inspects, closes and writes to the clients of one Gateway, without a worker. Any
// goroutine except a loop's may call its methods. They wait for the loops, or until ctx ends.
//
// A walk over clients does at most 1,024 of them in one turn of a loop, so that it does not hold up
// messages. Clients that come or go during a walk may be part of it or not. A client that is
// connected from its beginning to its end is part of it exactly once.
//
// A Control knows the clients of its own gateway only. Publish can reach other gateways too.
type Control struct{ g *Gateway }

// Gateway returns Config.ID and Config.Name of the gateway, as they are after the defaults.
func (c *Control) Gateway() (id uint32, name string) { return c.g.cfg.ID, c.g.cfg.Name }

// DirectoryDown returns since when Config.Directory has not answered and why, or the zero time if
// it answers or there is none. Clients and links go on; gateways and workers that start wait.
func (c *Control) DirectoryDown() (since time.Time, why error) {
	if d := c.g.cfg.Directory; d != nil {
		if state := d.State(); !state.Up {
			return state.Since, state.Err
		}
	}
	return since, nil
}

// SameAddress returns the ids of other gateways in Config.Directory that have the address of this
// one. Workers and other gateways reach only one of them: Config.Advertise is wrong somewhere.
func (c *Control) SameAddress() []uint32 {
	a := c.g.arbiter
	if !c.g.isReady() || a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.atAddress.certain)
}

// Target selects clients. Exactly one field must be set.
type Target struct {
	Client string // an id as worker.ClientID has it: 26 characters
	UID    string // the clients of a user, at most 1,024 bytes
	Group  string // the clients in a group, at most 1,024 bytes
	All    bool   // all clients
}

// check returns the client id if the target is one client.
func (t *Target) check() (id link.ClientID, err error) {
	set := 0
	for _, is := range []bool{t.Client != "", t.UID != "", t.Group != "", t.All} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return id, fmt.Errorf("%w: exactly one of client, uid, group and all must be set", ErrTarget)
	case len(t.UID) > link.MaxKey || len(t.Group) > link.MaxKey:
		return id, fmt.Errorf("%w: a uid or group has at most %d bytes", ErrTarget, link.MaxKey)
	case t.Client == "":
		return id, nil
	}
	if id, err = link.ParseClientID(t.Client); err != nil {
		return id, fmt.Errorf("%w: %q is not a client id of 26 characters", ErrTarget, t.Client)
	}
	return id, nil
}

// holder returns the loop that holds the client, or ErrNoClient.
func (c *Control) holder(id link.ClientID) (*loop, error) {
	switch {
	case !c.g.isReady():
		return nil, ErrNotRunning
	case id.Gateway() != c.g.cfg.ID:
		return nil, fmt.Errorf("%w: %v is a client of another gateway", ErrNoClient, id)
	case int(id.Loop()) >= len(c.g.loops):
		return nil, ErrNoClient
	}
	return c.g.loops[id.Loop()], nil
}

// on runs f on the loop and returns its result. After the end of ctx the loop may still run f.
func on[T any](ctx context.Context, l *loop, f func(*loop) T) (result T, err error) {
	answer := make(chan T, 1)
	if err := l.el.Post(func() { answer <- f(l) }); err != nil {
		return result, fmt.Errorf("%w: loop %d: %w", ErrNotRunning, l.index, err)
	}
	select {
	case result = <-answer:
		return result, nil
	case <-ctx.Done():
		return result, fmt.Errorf("gateway: loop %d does not answer: %w", l.index, ctx.Err())
	}
}

const (
	scanSlots = 1024 // clients that a walk looks at in one turn of a loop
	scanTakes = 256  // clients that it reports, closes or writes to in one turn
)

// scanned is where a walk has come to on a loop.
type scanned struct {
	next  uint32 // the slot to continue at
	done  bool   // it has reached the end of the loop
	taken int    // clients
}

// scan calls take for the open clients of a loop from a slot on that fit the filter. It pauses when
// it has looked at scanSlots slots, or taken as many as most.
func scan(l *loop, from uint32, f *filter, most int, take func(*session)) (p scanned) {
	if !f.anyOn(l) {
		p.done = true
		return p
	}
	budget := scanSlots
	for p.next = from; int(p.next) < len(l.sessions); p.next++ {
		if budget <= 0 || p.taken == most {
			return p
		}
		budget--
		if s := l.sessions[p.next]; s != nil && s.phase == phaseOpen {
			if budget -= f.cost(s); f.fits(s) {
				p.taken++
				take(s)
			}
		}
	}
	p.done = true
	return p
}

// each calls take for all clients of the gateway that fit the filter, on their loops, in portions.
// It returns how many. After an error it returns those that it knows of.
func (c *Control) each(ctx context.Context, f *filter, take func(*session)) (taken int, err error) {
	if !c.g.isReady() {
		return 0, ErrNotRunning
	}
	for _, l := range c.g.loops {
		for p := (scanned{}); !p.done; {
			from := p.next
			p, err = on(ctx, l, func(l *loop) scanned { return scan(l, from, f, scanTakes, take) })
			if err != nil {
				return taken, err
			}
			taken += p.taken
		}
	}
	return taken, nil
}
