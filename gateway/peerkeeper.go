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
	minRedial = 50 * time.Millisecond // wait after a link has ended; it doubles with each failed attempt
	maxRedial = time.Second
	// maxAhead bounds the bytes that wait to be written to a link: what is written at a time, the
	// last frame of it, which may be large, and heartbeats.
	maxAhead       = 2*aheadOfAck + link.MaxFrame
	dialPeer       = 5 * time.Second // timeout of an attempt
	redialLogEvery = time.Minute     // interval of log lines about a gateway that cannot be reached
)

var errOther = errors.New("gateway: another gateway answered: set an address that all hosts can reach (--advertise)")

// keep keeps the link of a loop to another gateway open until ctx ends. It runs on a goroutine of
// its own.
func (p *peer) keep(ctx context.Context) {
	failures := 1
	var lastLog time.Time
	for ctx.Err() == nil {
		k := &outLink{peer: p, done: make(chan struct{})}
		err := p.dial(ctx, k)
		if err == nil {
			opened := time.Now()
			if <-k.done; time.Since(opened) > maxRedial { // a link that ends sooner counts as a failed attempt
				failures, lastLog = 1, time.Time{}
			}
		} else if ctx.Err() == nil && time.Since(lastLog) > redialLogEvery {
			lastLog = time.Now()
			p.loop.g.log.Warn("link to another gateway failed, retrying", "gateway", p.id, "addr", *p.addr.Load(),
				"loop", p.loop.index, "err", err)
		}
		wait := backoff.Delay(minRedial, maxRedial, failures)
		backoff.Sleep(ctx, wait/2+rand.N(wait/2))
		failures++
	}
}

// dial opens a link and registers it with the loop.
func (p *peer) dial(ctx context.Context, k *outLink) error {
	dialling, cancel := context.WithTimeout(ctx, dialPeer)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(dialling, "tcp", *p.addr.Load())
	if err != nil {
		return err
	}
	conn = p.loop.g.cfg.LinkTLS.dialled(conn, *p.addr.Load())
	unwatch := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	g := p.loop.g
	hello, err := link.Connect(conn, g.cfg.Key, link.WorkerHello{
		Role: link.RolePeer, Loop: link.AnyLoop, Window: maxOutbox, ID: p.helloID(), Name: g.cfg.Name,
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
	k.epoch, k.narrows = hello.Epoch, hello.Narrows && g.interest != nil
	return g.engine.Register(p.loop.el, conn, k, engine.ConnOptions{
		MaxInput: 64 << 10, MaxOutput: maxAhead, ExcludeFromBudget: true,
	})
}

// dialled returns conn, a connection to another gateway at addr, with TLS. t may be nil.
func (t *LinkTLS) dialled(conn net.Conn, addr string) net.Conn {
	if t == nil {
		return conn
	}
	return engine.TLSClient(conn, link.ServerName(t.Client, addr))
}

// helloID identifies this end of the link: the gateway, the loop and the outbox.
func (p *peer) helloID() (id [16]byte) {
	binary.BigEndian.PutUint32(id[:], p.loop.g.cfg.ID)
	binary.BigEndian.PutUint32(id[4:], uint32(p.loop.index))
	binary.BigEndian.PutUint64(id[8:], p.stream)
	return id
}
