package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/link"
)

const (
	firstRedial = 50 * time.Millisecond // after a link to another gateway has ended, and its double after each attempt that fails
	lastRedial  = time.Second
	maxAhead    = 2*aheadOfAck + link.MaxFrame // bytes that wait to be written to it: what is given at a time, of which the last frame may be large, and what keeps it alive
	dialPeer    = 5 * time.Second              // at most, for an attempt
	tellUnmet   = time.Minute                  // from line to line about a gateway that cannot be reached
)

var errOther = errors.New("gateway: another gateway listens there: it needs an address that is true for all (--advertise)")

// keep keeps the link of a loop to another gateway up, until ctx ends. It is a goroutine of its own.
func (p *peer) keep(ctx context.Context) {
	failures := 1
	var told time.Time
	for ctx.Err() == nil {
		k := &outLink{peer: p, ended: make(chan struct{})}
		err := p.dial(ctx, k)
		if err == nil {
			opened := time.Now()
			if <-k.ended; time.Since(opened) > lastRedial { // else there is something wrong with it
				failures, told = 1, time.Time{}
			}
		} else if ctx.Err() == nil && time.Since(told) > tellUnmet {
			told = time.Now()
			p.loop.g.log.Warn("no link to another gateway: trying on", "gateway", p.id, "addr", *p.addr.Load(), "loop", p.loop.index, "err", err)
		}
		wait := backoff.Delay(firstRedial, lastRedial, failures)
		backoff.Sleep(ctx, wait/2+rand.N(wait/2))
		failures++
	}
}

// dial opens a link and gives it to the loop.
func (p *peer) dial(ctx context.Context, k *outLink) error {
	dialling, cancel := context.WithTimeout(ctx, dialPeer)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(dialling, "tcp", *p.addr.Load())
	if err != nil {
		return err
	}
	unwatch := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	g := p.loop.g
	hello, err := link.Connect(conn, g.cfg.Key, link.WorkerHello{
		Role: link.RolePeer, Loop: link.AnyLoop, Window: maxOutbox, ID: p.from(), Name: g.cfg.Name,
	})
	if err == nil && !unwatch() {
		err = ctx.Err()
	}
	if err == nil && hello.ID != p.id {
		err = fmt.Errorf("%w: gateway %d", errOther, hello.ID)
	}
	if err != nil {
		_ = conn.Close()
		return err
	}
	k.epoch = hello.Epoch
	return g.engine.Register(p.loop.el, conn, k, engine.ConnOptions{MaxInput: 64 << 10, MaxOutput: maxAhead, ExcludeFromBudget: true})
}

// from names this end of the link: the gateway, the loop and the outbox.
func (p *peer) from() (id [16]byte) {
	binary.BigEndian.PutUint32(id[:], p.loop.g.cfg.ID)
	binary.BigEndian.PutUint32(id[4:], uint32(p.loop.index))
	binary.BigEndian.PutUint64(id[8:], p.stream)
	return id
}
