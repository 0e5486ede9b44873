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
	"github.com/seed-7410fe32/sluice/internal/record"
)

// gwLink is the link to one loop of a gateway. Its leader reads it and runs handlers (read.go). The
// leader is one goroutine at a time.
type gwLink struct {
	// Static after newLink.
	w         *Worker
	conn      net.Conn
	gateway   uint32
	addr      string // address at which other gateways reach the gateway
	epoch     uint64 // of the gateway; it changes with each start
	narrows   bool   // the gateway takes part in narrow sends
	blocks    bool   // the gateway takes Blocked
	loop      uint8
	loops     uint16
	maxFrame  int
	heartbeat time.Duration
	gone      chan struct{} // closed when the link has ended
	done      chan struct{} // closed when its leader has ended, after gone
	drained   chan struct{} // closed when a drain has left no client
	hints     chan hint     // from DRAIN frames, for the keeper; bound: none, made with room for maxHints

	ctx    context.Context // parent context of its clients' calls; done when no call can be committed any more
	cancel context.CancelCauseFunc

	shard *record.Shard // static: for calls that are not led

	in input // owned by the leader

	clients  atomic.Int32
	leaving  atomic.Int32 // clients that are gone or have moved, and whose last call has not returned
	received atomic.Bool  // something was received since the last heartbeat

	mu         sync.Mutex
	out        []byte               // guarded by mu: unwritten frames; bound: what a worker has not yet written to a link
	spare      []byte               // guarded by mu
	pushed     uint64               // guarded by mu: number of the leader's last batch that was put into out
	writing    bool                 // guarded by mu: a goroutine writes to the socket
	space      sync.Cond            // on mu: out has become shorter, or a write has ended
	work       sync.Cond            // on mu: out is not empty, or the link has ended
	ended      bool                 // guarded by mu
	draining   bool                 // guarded by mu
	drainNoted bool                 // guarded by mu: all that the gateway sent before it knew of the drain was read
	request    uint32               // guarded by mu: the last request's id
	requests   map[uint32]*question // guarded by mu; bound: questions of a worker
}

const (
	maxOut   = 4 << 20 // bytes to be written; when there are more, senders block
	maxUnit  = 4 << 20 // bytes of effects of one call, unless it is a single frame
	maxSpare = 1 << 20 // capacity of a buffer that is kept for reuse
)

func newLink(w *Worker, conn net.Conn, addr string, hello link.GatewayHello) *gwLink {
	l := &gwLink{
		w: w, conn: conn, gateway: hello.ID, addr: addr, epoch: hello.Epoch,
		narrows: hello.Narrows, blocks: hello.Blocks, loop: uint8(hello.Loop), loops: hello.Loops,
		maxFrame: int(hello.MaxFrame), heartbeat: hello.Heartbeat,
		gone: make(chan struct{}), done: make(chan struct{}), drained: make(chan struct{}),
		hints: make(chan hint, maxHints), requests: make(map[uint32]*question),
	}
	l.ctx, l.cancel = context.WithCancelCause(w.life)
	l.space.L, l.work.L = &l.mu, &l.mu
	l.in.buf = make([]byte, readSize)
	l.shard = w.rec.Shard()
	l.in.record.Init(l.shard)
	return l
}

// start starts the goroutines of the link. When done is closed, the link has ended and its
// goroutines are about to end, except for handlers that still run.
func (l *gwLink) start() {
	if l.w.handler.Authenticate != nil {
		l.sendUrgent(link.Frame{Type: link.Authenticates})
	}
	l.w.log.Info("link open", "gateway", l.gateway, "loop", l.loop, "remote", l.conn.RemoteAddr().String())
	l.w.tasks.Add(2)
	go l.write()
	go l.runHeartbeat()
	l.w.mu.Lock()
	l.w.led[l] = struct{}{}
	l.w.mu.Unlock()
	l.w.exec.Lead(l)
}

// end closes the link, once. It wakes all goroutines that wait for the link.
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
	l.w.narrow.lost(l)
	l.w.routes.remove(l)
	_ = l.conn.Close()
	for _, q := range questions {
		q.fail()
	}
	l.w.log.Info("link closed", "gateway", l.gateway, "loop", l.loop, "err", err)
	close(l.gone)
}

// write is the goroutine that writes plain frames, as many at a time as there are.
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

// push appends *b to the output and empties it. If too much output waits, it blocks until there is
// room or the link has ended.
func (l *gwLink) push(b *[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(*b) > 0 {
		_ = l.awaitRoom(context.Background()) // a link that has ended discards what is appended
		l.appendOut(b)
	}
}

// appendOut is push without waiting. Called with mu.
func (l *gwLink) appendOut(b *[]byte) {
	if len(l.out) == 0 {
		l.out, *b = *b, l.out
	} else {
		l.out = append(l.out, *b...)
	}
	if *b = (*b)[:0]; cap(*b) > maxSpare {
		*b = nil
	}
}

// awaitRoom waits until the output is not larger than maxOut. The error says that the link or ctx
// has ended. Called with mu.
func (l *gwLink) awaitRoom(ctx context.Context) error {
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
		return fmt.Errorf("worker: send buffer full, the gateway does not read: %w", context.Cause(ctx))
	}
	return nil
}

// flush writes the output, unless another goroutine does so. What is appended meanwhile is left to
// the goroutine of write, because the caller may be the leader, which must read on. A write error
// ends the link.
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

// writePiece is how much is written at once, in bytes. A gateway that accepts a piece is alive.
const writePiece = 256 << 10

// writeAll writes b. Each piece that the gateway accepts counts as a sign of life. The leader may
// not be able to read one meanwhile, because it waits for room behind b.
func (l *gwLink) writeAll(b []byte) error {
	for len(b) > 0 {
		n, err := l.conn.Write(b[:min(len(b), writePiece)])
		if err != nil {
			return err
		}
		b = b[n:]
		if len(b) > 0 {
			l.received.Store(true)
		}
	}
	return nil
}

// sendPlain sends a frame that is not part of a unit. Its payload is head and body. If too much
// output waits, it blocks until there is room, or the link or ctx has ended.
func (l *gwLink) sendPlain(ctx context.Context, f *link.Frame, head, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.awaitRoom(ctx); err != nil {
		return err
	}
	l.out = appendFrame(l.out, f, head, body)
	if !l.writing {
		l.work.Signal()
	}
	return nil
}

// sendFrames sends complete frames, as sendPlain does.
func (l *gwLink) sendFrames(ctx context.Context, b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.awaitRoom(ctx); err != nil {
		return err
	}
	l.out = append(l.out, b...)
	if !l.writing {
		l.work.Signal()
	}
	return nil
}

// sendUrgent sends a frame even if too much output waits. It is for frames that keep the link alive
// or end it, which must not wait for a gateway that does not read.
func (l *gwLink) sendUrgent(f link.Frame) {
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
		case l.received.Swap(false):
			asked = false
		case asked:
			l.end(fmt.Errorf("nothing received for two heartbeats of %v", l.heartbeat))
			return
		default:
			asked = true
			l.sendUrgent(link.Frame{Type: link.Ping})
		}
	}
}

// drainPing is the id of the PING after a DRAIN. Its answer comes after all clients that the
// gateway gave to this worker before it knew of the drain. Other PINGs have the id 0 and only ask
// for a sign of life.
const drainPing = 1

// startDrain asks the gateway for no more clients, and to take back the present ones.
func (l *gwLink) startDrain() {
	l.mu.Lock()
	first := !l.draining && !l.ended
	l.draining = true
	l.mu.Unlock()
	if first {
		l.sendUrgent(link.Frame{Type: link.Drain})
		l.sendUrgent(link.Frame{Type: link.Ping, ID: drainPing})
	}
}

// handlePong handles the answer to a PING.
func (l *gwLink) handlePong(id uint32) {
	if id != drainPing {
		return
	}
	l.pushBatch()
	l.mu.Lock()
	l.drainNoted = true
	l.mu.Unlock()
	l.checkDrained()
}

// noteClientsLeft subtracts n clients whose last effects are in the output.
func (l *gwLink) noteClientsLeft(n int32) {
	l.clients.Add(-n)
	l.leaving.Add(-n)
	l.checkDrained()
}

// checkDrained closes drained if the link drains and has no clients. It is called when the last
// client may have left.
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

// errDrained is the reason for the end of a link that has been drained.
var errDrained = errors.New("worker: drained")

// goAwayTimeout bounds the sending of the last frame.
const goAwayTimeout = time.Second

// goAway ends the link when the output has been written. The last frame says why.
func (l *gwLink) goAway(status link.Status, why error) {
	late := time.AfterFunc(goAwayTimeout, func() { l.end(why) })
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

// fail ends the link after an error of its leader. If the gateway has violated the protocol, it
// gets the error as the reason.
func (l *gwLink) fail(err error) {
	if errors.Is(err, link.ErrFrame) {
		l.goAway(link.Protocol, err)
		return
	}
	l.end(err)
}
