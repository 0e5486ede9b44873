package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A gateway that closes down takes no new clients. It stops reading from its clients at a limited
// rate. As soon as the messages read from such a client are handled and answered, the client is
// closed. So a message that has no answer by then was not handled. The client may send it again, to
// another gateway. Workers stay connected until the end, and may connect and disconnect meanwhile.

// ErrCut is returned by Run when clients were still connected at the end of Config.DrainTimeout.
// They were closed.
var ErrCut = errors.New("gateway: clients still connected at the end of the drain")

const (
	minDrainRate = 100                   // clients a second, if Config.DrainRate is not set
	paceStep     = 20 * time.Millisecond // interval at which closeClients goes on
	finalGrace   = time.Second           // for clients and workers to take their last bytes
)

var errRan = errors.New("gateway: Run must be called only once")

// Draining reports whether the context of Run has ended: load balancers should send new clients to
// other gateways. They are still accepted here for Config.DrainDelay. Any goroutine may call it.
func (g *Gateway) Draining() bool { return g.notReady.Load() }

// Run listens, and serves clients and workers until ctx ends. Then it drains: after
// Config.DrainDelay it takes no new clients, and closes its clients when their messages are
// handled. It returns when all its goroutines have ended and all its descriptors are
// closed: with a *ListenError when it cannot listen, with ErrCut when clients had not gone in time,
// with ErrIDTaken when another gateway in Config.Directory has the id. Run is called once: a second
// call returns an error.
func (g *Gateway) Run(ctx context.Context) error {
	if g.ran.Swap(true) {
		return errRan
	}
	ctx, drain := context.WithCancel(ctx)
	defer drain()
	leave, err := g.place.join(ctx, g, drain)
	if err != nil {
		if ctx.Err() != nil {
			return nil // there was nothing to drain
		}
		return err
	}
	if err := g.open(); err != nil {
		return errors.Join(err, leave())
	}
	close(g.ready)
	g.place.announce(g)
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	context.AfterFunc(ctx, func() {
		defer end()
		g.prepare()
	})
	var watch sync.WaitGroup
	watch.Go(func() { g.watchWorkers(serving) })
	losses := newLossLog(g)
	losses.runUntil(serving)
	watch.Wait()
	for _, l := range g.listeners {
		_ = l.ln.Close()
	}
	cut := g.drain()
	losses.log()
	g.close()
	err = leave()
	if cut > 0 {
		err = errors.Join(fmt.Errorf("%w: %d", ErrCut, cut), err)
	}
	return err
}

// prepare reports the gateway as not ready. It accepts clients until Config.DrainDelay is over.
func (g *Gateway) prepare() {
	g.notReady.Store(true)
	g.place.drain()
	if delay := g.cfg.DrainDelay; delay > 0 {
		g.log.Info("not ready: new clients are accepted until the drain begins", "in", delay)
		time.Sleep(delay)
	}
}

// drain closes all clients and then the links. It returns how many clients did not finish in time.
func (g *Gateway) drain() (cut int) {
	began := time.Now()
	clients := sum(ask(g, (*loop).beginDrain))
	g.givesPort.Store(true)
	pace := g.pace(clients)
	g.log.Info("draining", "clients", clients, "rate", pace, "timeout", g.cfg.DrainTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.DrainTimeout)
	defer cancel()
	g.closeClients(ctx, pace)
	if !g.await(ctx, (*loop).clients) {
		if cut = sum(ask(g, (*loop).stillClosing)); cut > 0 {
			g.log.Warn("drain timeout: the remaining clients are closed", "clients", cut)
		}
	}
	g.finalStep((*loop).closeRemaining, (*loop).clients)
	g.finalStep((*loop).cutClients, (*loop).clients)
	g.workerPort.close()
	g.finalStep((*loop).unconfirmedEffects, (*loop).unconfirmedEffects)
	g.stopPeers()
	g.finalStep((*loop).endLinks, func(l *loop) int { return l.linked })
	g.log.Info("drained", "clients", clients, "cut", cut, "took", time.Since(began).Round(time.Millisecond))
	return cut
}

// pace is how many clients a second closeClients starts to close.
func (g *Gateway) pace(clients int) int {
	if g.cfg.DrainRate > 0 {
		if need := time.Duration(clients/g.cfg.DrainRate) * time.Second; need > g.cfg.DrainTimeout {
			g.log.Warn("drain rate too low to close all clients in time", "rate", g.cfg.DrainRate, "needs", need)
		}
		return g.cfg.DrainRate
	}
	return max(minDrainRate, int(2*float64(clients)/g.cfg.DrainTimeout.Seconds()))
}

// closeClients starts to close all clients, at a rate of pace a second, in the order of their slots
// on each loop, until ctx ends.
func (g *Gateway) closeClients(ctx context.Context, pace int) {
	began := time.Now()
	step := time.NewTicker(paceStep)
	defer step.Stop()
	for begun, first := 0, 0; ; first++ {
		due := 1 + int(time.Since(began).Seconds()*float64(pace)) - begun
		left := 0
		answers := ask(g, func(l *loop) closeProgress {
			return l.closeSome(portionOf(due, (int(l.index)+first)%len(g.loops), len(g.loops)))
		})
		for _, n := range answers {
			begun, left = begun+n.closed, left+n.left
		}
		if left == 0 && len(answers) == len(g.loops) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-step.C:
		}
	}
}

// portionOf is the i-th of parts of n.
func portionOf(n, i, parts int) int { return (n + parts - 1 - i) / parts }

// await polls until the figure is 0 on all loops, and reports whether that was so before ctx ended.
// A loop that does not answer counts as not 0.
func (g *Gateway) await(ctx context.Context, figure func(*loop) int) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers := ask(g, figure); sum(answers) == 0 && len(answers) == len(g.loops) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// finalStep runs a function on each loop, and then waits up to finalGrace until the figure is 0.
func (g *Gateway) finalStep(do, figure func(*loop) int) {
	ask(g, do)
	ctx, cancel := context.WithTimeout(context.Background(), finalGrace)
	defer cancel()
	g.await(ctx, figure)
}

func sum(figures []int) (n int) {
	for _, f := range figures {
		n += f
	}
	return n
}

// clients is the number of connections of clients, including those that take their last bytes.
func (l *loop) clients() int { return int(l.stats.Opened-l.stats.Closed) + l.closingConns }

// stillClosing is how many clients are still open or have not taken what was written to them. A
// client that has taken everything and does not close the connection is not counted.
func (l *loop) stillClosing() int {
	n := int(l.stats.Opened - l.stats.Closed)
	for v := range l.closing {
		if v.conn.Buffered() > 0 {
			n++
		}
	}
	return n
}

// beginDrain stops accepting clients, and tells the workers that the gateway drains.
func (l *loop) beginDrain() int {
	l.draining = true
	l.refuseUpgrades()
	for _, k := range l.links {
		k.send(&link.Frame{Type: link.Drain})
	}
	return l.clients()
}

// closeProgress is how many clients closeSome has started to close, and at most how many are left.
type closeProgress struct{ closed, left int }

// closeSome starts to close at most that many clients. No new clients come, so it walks the slots
// once.
func (l *loop) closeSome(most int) closeProgress {
	begun := 0
	for ; begun < most && l.closedBelow < len(l.sessions); l.closedBelow++ {
		if s := l.sessions[l.closedBelow]; s != nil && s.closeWhenHandled() {
			begun++
		}
	}
	return closeProgress{begun, len(l.sessions) - l.closedBelow}
}

// closeWhenHandled stops reading from the client, and closes it as soon as its messages are
// handled. It reports whether the client was open.
func (s *session) closeWhenHandled() bool {
	if s.phase != phaseOpen || s.pauses&pausedToClose != 0 {
		return false
	}
	s.pause(pausedToClose)
	s.throttle()
	return true
}

// closeRemaining closes the remaining clients, and rejects their queued messages.
func (l *loop) closeRemaining() int {
	for _, s := range l.sessions {
		if s == nil || s.phase != phaseOpen {
			continue
		}
		if n := l.book.Drop(&s.delivery); n > 0 {
			s.rejected(delivery.CodeDraining, n)
		}
		s.end(link.ReasonDraining)
	}
	return l.clients()
}

// cutClients closes the connections whose clients have not taken their last bytes.
func (l *loop) cutClients() int {
	for _, s := range l.sessions {
		if s != nil {
			s.closeNow(link.ReasonDraining)
		}
	}
	for v := range l.closing {
		v.conn.Close(closing(link.ReasonDraining))
	}
	return l.clients()
}

// unconfirmedEffects is how many bytes and clients may still have effects at other gateways: bytes
// that those have not confirmed, and clients that have gone and whose workers have not acknowledged
// it.
func (l *loop) unconfirmedEffects() int {
	n := l.unconfirmed()
	if l.hasWorkerLink() {
		n += l.book.Departed()
	}
	return n
}

// endLinks ends the links after all their output is written.
func (l *loop) endLinks() int {
	for _, k := range l.links {
		k.end(link.Draining, "", link.ReasonDraining)
	}
	for _, p := range l.peers {
		p.stop()
	}
	for _, k := range l.inLinks {
		k.close(link.ReasonDraining)
	}
	return l.linked
}
