package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// A gateway that closes down takes no new clients, and bids those it has farewell at a pace. A client that has been bidden is not read any more; when all that was read
// of it has been handled and answered it is told and closed. So what it sent and has no answer to when it hears of the end was not taken: it may send it again, to
// another gateway. Workers serve to the end, and may come and go meanwhile.

// ErrCut is returned by Run when clients had not gone at the end of Config.DrainTimeout. They were
// told and closed.
var ErrCut = errors.New("gateway: clients were cut at the end of the drain")

const (
	minDrainRate = 100                   // clients a second, where Config.DrainRate does not say
	paceStep     = 20 * time.Millisecond // between two handfuls of clients
	finalGrace   = time.Second           // for clients and workers to take the last they are told
)

var errRan = errors.New("gateway: Run has been called before")

// Draining reports whether the context of Run has ended: load balancers should send new clients to
// other gateways. They are still accepted here for Config.DrainDelay. Any goroutine may call it.
func (g *Gateway) Draining() bool { return g.notReady.Load() }

// Run listens, and serves clients and workers until ctx ends. Then it drains: after
// Config.DrainDelay it takes no new clients, tells those it has to go, and closes them when their
// messages are handled. It returns when all its goroutines have ended and all its descriptors are
// closed: with a *ListenError when it cannot listen, with ErrCut when clients had not gone in time.
// Run is called once: a second call returns an error.
func (g *Gateway) Run(ctx context.Context) error {
	if g.ran.Swap(true) {
		return errRan
	}
	if err := g.open(); err != nil {
		return err
	}
	close(g.ready)
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
	if cut > 0 {
		return fmt.Errorf("%w: %d", ErrCut, cut)
	}
	return nil
}

// prepare begins the end: the gateway says that it is not ready, and takes who comes all the same until Config.DrainDelay is over.
func (g *Gateway) prepare() {
	g.notReady.Store(true)
	if delay := g.cfg.DrainDelay; delay > 0 {
		g.log.Info("not ready any more: whoever comes is taken until the drain begins", "in", delay)
		time.Sleep(delay)
	}
}

// drain ends all clients and then the links, and returns how many clients had to be cut.
func (g *Gateway) drain() (cut int) {
	began := time.Now()
	clients := sum(ask(g, (*loop).beginDrain))
	g.givesPort.Store(true)
	pace := g.pace(clients)
	g.log.Info("draining", "clients", clients, "pace", pace, "for", g.cfg.DrainTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.DrainTimeout)
	defer cancel()
	g.closeClients(ctx, pace)
	if !g.await(ctx, (*loop).clients) {
		if cut = sum(ask(g, (*loop).stillClosing)); cut > 0 {
			g.log.Warn("the time to drain is over: the clients that are left are cut", "clients", cut)
		}
	}
	g.finalStep((*loop).closeRemaining, (*loop).clients)
	g.finalStep((*loop).cutClients, (*loop).clients)
	g.inner.close()
	g.finalStep((*loop).unconfirmedEffects, (*loop).unconfirmedEffects)
	g.stopPeers()
	g.finalStep((*loop).endLinks, func(l *loop) int { return l.linked })
	g.log.Info("drained", "clients", clients, "cut", cut, "took", time.Since(began).Round(time.Millisecond))
	return cut
}

// pace is how many clients are told to go in a second.
func (g *Gateway) pace(clients int) int {
	if g.cfg.DrainRate > 0 {
		if need := time.Duration(clients/g.cfg.DrainRate) * time.Second; need > g.cfg.DrainTimeout {
			g.log.Warn("the pace is too slow to tell all clients in time", "pace", g.cfg.DrainRate, "needs", need)
		}
		return g.cfg.DrainRate
	}
	return max(minDrainRate, int(2*float64(clients)/g.cfg.DrainTimeout.Seconds()))
}

// closeClients bids all clients farewell, so many a second, in the order of their slots on each loop, until ctx ends.
func (g *Gateway) closeClients(ctx context.Context, pace int) {
	began := time.Now()
	step := time.NewTicker(paceStep)
	defer step.Stop()
	for told, first := 0, 0; ; first++ {
		due := 1 + int(time.Since(began).Seconds()*float64(pace)) - told
		left := 0
		answers := ask(g, func(l *loop) closeProgress {
			return l.closeSome(portionOf(due, (int(l.index)+first)%len(g.loops), len(g.loops)))
		})
		for _, n := range answers {
			told, left = told+n.closed, left+n.left
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

// portionOf is the part of n for number i of so many.
func portionOf(n, i, of int) int { return (n + of - 1 - i) / of }

// await polls until all loops say that a figure is 0, and reports whether they did before ctx ended. A loop too busy to say so has not.
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

// finalStep has each loop do something and gives what comes of it its last second.
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

// clients is how many connections of clients there are, those that are taking their last bytes too.
func (l *loop) clients() int { return int(l.stats.Opened-l.stats.Closed) + l.closingConns }

// stillClosing is how many of them have not been told the end, or have not taken what they were told. Those that have, and
// do not close, are not waited for.
func (l *loop) stillClosing() int {
	n := int(l.stats.Opened - l.stats.Closed)
	for v := range l.closing {
		if v.conn.Buffered() > 0 {
			n++
		}
	}
	return n
}

// beginDrain lets nobody else in, and tells the workers that the gateway is closing down.
func (l *loop) beginDrain() int {
	l.draining = true
	l.refuseUpgrades()
	for _, k := range l.links {
		k.send(&link.Frame{Type: link.Drain})
	}
	return l.clients()
}

// closeProgress are how many clients were told to go, and how many are yet to be, at most.
type closeProgress struct{ closed, left int }

// closeSome bids at most so many clients farewell. Nobody comes any more, so it walks the slots once.
func (l *loop) closeSome(most int) closeProgress {
	told := 0
	for ; told < most && l.closedBelow < len(l.sessions); l.closedBelow++ {
		if s := l.sessions[l.closedBelow]; s != nil && s.closeWhenHandled() {
			told++
		}
	}
	return closeProgress{told, len(l.sessions) - l.closedBelow}
}

// closeWhenHandled has the client go: nothing more of it is read, and it is told as soon as nothing of it waits for a worker. It reports whether the client was there.
func (s *session) closeWhenHandled() bool {
	if s.phase != phaseOpen || s.pauses&pausedToClose != 0 {
		return false
	}
	s.pause(pausedToClose)
	s.throttle()
	return true
}

// closeRemaining tells the clients that are left, whatever they wait for. What no worker has been given is refused.
func (l *loop) closeRemaining() int {
	for _, s := range l.sessions {
		if s == nil || s.phase != phaseOpen {
			continue
		}
		if n := s.dropQueued(); n > 0 {
			s.refuse(refusedDraining, n)
		}
		s.end(link.ReasonDraining)
	}
	return l.clients()
}

// cutClients ends the clients that have not taken their last bytes.
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

// unconfirmedEffects is what clients of other gateways may have to hear yet: of clients that are gone, whose workers have not said what that does, and what those gateways have not confirmed.
func (l *loop) unconfirmedEffects() int {
	n := l.unconfirmed()
	if len(l.links) > 0 {
		n += l.departed
	}
	return n
}

// endLinks ends the links, once all that they carry has been said.
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
