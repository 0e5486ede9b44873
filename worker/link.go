package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// gwLink is the link to one loop of a gateway. Its leader, one goroutine at a time, reads it and runs handlers (dispatch.go).
type gwLink struct {
	// Static after newLink.
	w         *Worker
	conn      net.Conn
	gateway   uint32
	addr      string // of the gateway, as other gateways reach it
	epoch     uint64 // of the gateway: another one at each start
	loop      uint8
	loops     uint16
	maxFrame  int
	heartbeat time.Duration
	gone      chan struct{} // closed when the link has ended
	done      chan struct{} // closed when its leader has, after it
	drained   chan struct{} // closed when a drain has left no client
	hints     chan hint     // of gateways that drain, for the keeper; bound: none, made with room for maxHints

	ctx    context.Context // of its clients: done when no call can be committed any more
	cancel context.CancelCauseFunc

	leader leader // of the one that leads
	seen   uint64 // owned by the watch: the leader's call at the last tick

	clients atomic.Int32
	leaving atomic.Int32 // of clients: those that are gone, or have moved, and whose last call has not returned
	heard   atomic.Bool  // since the last heartbeat

	mu         sync.Mutex
	out        []byte               // guarded by mu: frames that wait to be written; bound: what a worker has not yet written to a link
	spare      []byte               // guarded by mu
	pushed     uint64               // guarded by mu: the leader's batches that are in out, or were
	writing    bool                 // guarded by mu: a goroutine writes to the socket
	space      sync.Cond            // on mu: out has been taken, or all is written
	work       sync.Cond            // on mu: out is not empty, or the link has ended
	ended      bool                 // guarded by mu
	draining   bool                 // guarded by mu
	drainNoted bool                 // guarded by mu: the gateway has heard of the drain, and what it sent before has been read
	request    uint32               // guarded by mu: the last request's id
	requests   map[uint32]*question // guarded by mu; bound: questions of a worker
}

const (
	maxOut   = 4 << 20 // bytes that wait to be written; past it senders block
	maxUnit  = 4 << 20 // bytes that one handler call may do, unless it is a single frame
	maxSpare = 1 << 20 // bytes of a buffer that is kept for later
)

func newLink(w *Worker, conn net.Conn, addr string, hello link.GatewayHello) *gwLink {
	l := &gwLink{
		w: w, conn: conn, gateway: hello.ID, addr: addr, epoch: hello.Epoch, loop: uint8(hello.Loop), loops: hello.Loops,
		maxFrame: int(hello.MaxFrame), heartbeat: hello.Heartbeat,
		gone: make(chan struct{}), done: make(chan struct{}), drained: make(chan struct{}),
		hints: make(chan hint, maxHints), requests: make(map[uint32]*question),
	}
	l.ctx, l.cancel = context.WithCancelCause(w.life)
	l.space.L, l.work.L = &l.mu, &l.mu
	l.leader.init()
	return l
}

// start is the begin of the link's life. When done is closed the link has ended and its goroutines, but for handlers that still run, are on their way out: who is dialled
// next knows of those (linger.go).
func (l *gwLink) start() {
	l.w.log.Info("link up", "gateway", l.gateway, "loop", l.loop, "remote", l.conn.RemoteAddr().String())
	l.w.watch.add(l)
	l.w.tasks.Add(3)
	go l.write()
	go l.runHeartbeat()
	go l.lead()
}

// end closes the link, once. Whoever waits for something on it is told.
func (l *gwLink) end(err error) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended = true
	questions := l.requests
	l.requests = nil
	l.cancel(fmt.Errorf("%w: %w", ErrLinkDown, err))
	l.work.Broadcast()
	l.space.Broadcast()
	l.mu.Unlock()
	l.w.routes.remove(l)
	_ = l.conn.Close()
	for _, q := range questions {
		q.fail()
	}
	l.w.log.Info("link down", "gateway", l.gateway, "loop", l.loop, "err", err)
	close(l.gone)
}

// write is the goroutine that sends plain frames, as many at a time as have come.
func (l *gwLink) write() {
	defer l.w.tasks.Done()
	for {
		l.mu.Lock()
		for (len(l.out) == 0 || l.writing) && !l.ended {
			l.work.Wait()
		}
		ended := l.ended
		l.mu.Unlock()
		if ended {
			return
		}
		l.flush()
	}
}

// push puts bytes behind all that waits to be written, and empties *b. It blocks while too much waits, until there is room or the link has ended.
func (l *gwLink) push(b *[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(*b) > 0 {
		_ = l.room(context.Background()) // a link that has ended takes it and writes nothing
		l.take(b)
	}
}

// take is push without waiting. Called with mu.
func (l *gwLink) take(b *[]byte) {
	if len(l.out) == 0 {
		l.out, *b = *b, l.out
	} else {
		l.out = append(l.out, *b...)
	}
	if *b = (*b)[:0]; cap(*b) > maxSpare {
		*b = nil
	}
}

// room waits until less than maxOut waits. An error says that the link or ctx has ended. Called with mu.
func (l *gwLink) room(ctx context.Context) error {
	if len(l.out) > maxOut && !l.ended {
		stop := context.AfterFunc(ctx, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.space.Broadcast()
		})
		defer stop()
	}
	for len(l.out) > maxOut && !l.ended && ctx.Err() == nil {
		l.space.Wait()
	}
	switch {
	case l.ended:
		return ErrLinkDown
	case len(l.out) > maxOut:
		return fmt.Errorf("worker: the gateway does not read: %w", context.Cause(ctx))
	}
	return nil
}

// flush writes what waits, unless another goroutine is at it. What comes meanwhile is for the goroutine of write: whoever leads must read on, and those who flood the link
// would keep it here. A failure ends the link.
func (l *gwLink) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing || len(l.out) == 0 || l.ended {
		return
	}
	l.writing = true
	b := l.out
	l.out, l.spare = l.spare[:0], nil
	l.space.Broadcast()
	l.mu.Unlock()
	if err := l.writeAll(b); err != nil {
		l.end(fmt.Errorf("write: %w", err))
	}
	l.mu.Lock()
	if cap(b) <= maxSpare {
		l.spare = b
	}
	l.writing = false
	l.space.Broadcast()
	if len(l.out) > 0 {
		l.work.Signal()
	}
}

// writePiece is how much is written at once, in bytes: a gateway that takes it is alive.
const writePiece = 256 << 10

// writeAll writes b. A gateway that takes it is alive, though what it has to say may have to wait
// until the leader, which waits for room behind b, reads on.
func (l *gwLink) writeAll(b []byte) error {
	for len(b) > 0 {
		n, err := l.conn.Write(b[:min(len(b), writePiece)])
		if err != nil {
			return err
		}
		b = b[n:]
		if len(b) > 0 {
			l.heard.Store(true)
		}
	}
	return nil
}

// sendPlain sends a frame by itself: payload is head and body. It blocks while too much waits, until there is room, or the link or ctx has ended.
func (l *gwLink) sendPlain(ctx context.Context, f *link.Frame, head, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.room(ctx); err != nil {
		return err
	}
	l.out = appendFrame(l.out, f, head, body)
	if !l.writing {
		l.work.Signal()
	}
	return nil
}

// frames sends whole frames by themselves, as plain does.
func (l *gwLink) frames(ctx context.Context, b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.room(ctx); err != nil {
		return err
	}
	l.out = append(l.out, b...)
	if !l.writing {
		l.work.Signal()
	}
	return nil
}

// urgent sends a frame even when too much waits: what keeps a link in check must not wait for a gateway that does not read.
func (l *gwLink) urgent(f link.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.out = link.Append(l.out, &f)
	if !l.writing {
		l.work.Signal()
	}
}

func appendFrame(dst []byte, f *link.Frame, head, body []byte) []byte {
	dst = link.AppendHeader(dst, f, len(head)+len(body))
	dst = append(dst, head...)
	return append(dst, body...)
}

// runHeartbeat is the goroutine of the heartbeat.
func (l *gwLink) runHeartbeat() {
	defer l.w.tasks.Done()
	if l.heartbeat <= 0 {
		return
	}
	t := time.NewTicker(l.heartbeat)
	defer t.Stop()
	asked := false
	for {
		select {
		case <-l.gone:
			return
		case <-t.C:
		}
		switch {
		case l.heard.Swap(false):
			asked = false
		case asked:
			l.end(fmt.Errorf("nothing heard for two heartbeats of %v", l.heartbeat))
			return
		default:
			asked = true
			l.urgent(link.Frame{Type: link.Ping})
		}
	}
}

// What a PING is for, as its id: one that says nothing asks for life alone.
const drainPing = 1 // behind a DRAIN: clients that the gateway gave before it knew come before the answer

// startDrain asks the gateway for no more clients, and to take those that are here.
func (l *gwLink) startDrain() {
	l.mu.Lock()
	first := !l.draining && !l.ended
	l.draining = true
	l.mu.Unlock()
	if first {
		l.urgent(link.Frame{Type: link.Drain})
		l.urgent(link.Frame{Type: link.Ping, ID: drainPing})
	}
}

// ponged notes the answer to a PING.
func (l *gwLink) ponged(id uint32) {
	if id != drainPing {
		return
	}
	l.pushBatch()
	l.mu.Lock()
	l.drainNoted = true
	l.mu.Unlock()
	l.checkDrained()
}

// noteClientsLeft counts clients out whose last effects are on their way.
func (l *gwLink) noteClientsLeft(n int32) {
	l.clients.Add(-n)
	l.leaving.Add(-n)
	l.checkDrained()
}

// checkDrained is called when the last client may have gone.
func (l *gwLink) checkDrained() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining && l.drainNoted && l.clients.Load() == 0 {
		select {
		case <-l.drained:
		default:
			close(l.drained)
		}
	}
}

// errDrained is how a link ends that its worker has done with.
var errDrained = errors.New("worker: drained")

// goAwayWithin is how long a last frame may take.
const goAwayWithin = time.Second

// goAway ends the link when what waits has been written, with a last frame that says why.
func (l *gwLink) goAway(status link.Status, why error) {
	late := time.AfterFunc(goAwayWithin, func() { l.end(why) })
	defer late.Stop()
	f := link.Frame{Type: link.GoAway, Code: uint16(status)}
	if status != link.Draining {
		f.Payload = []byte(why.Error())
	}
	l.mu.Lock()
	if !l.ended {
		l.out = link.Append(l.out, &f)
	}
	l.mu.Unlock()
	l.flush()
	l.mu.Lock()
	for (l.writing || len(l.out) > 0) && !l.ended {
		l.space.Wait()
	}
	l.mu.Unlock()
	l.end(why)
}

// quit ends the link that its leader cannot go on with. The gateway is told what it did wrong.
func (l *gwLink) quit(err error) {
	if errors.Is(err, link.ErrFrame) {
		l.goAway(link.Protocol, err)
		return
	}
	l.end(err)
}
