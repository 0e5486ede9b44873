package worker

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// How a message gets to its handler.
//
// Each link has a leader: the goroutine that reads it. The leader runs the handlers itself, one
// after the other, on views of its read buffer, and writes their effects once a batch. So no
// goroutine is woken for a message and none is switched to.
//
//	        read a batch                 call a handler                 it returns
//	idle ───────────────────▶ leading ───────────────────▶ in a call ─────────────▶ leading
//	                                                            │ it blocks
//	                                                            ▼
//	                              detached: another goroutine leads, with the rest of the batch
//	                                                            │ it returns
//	                                                            ▼
//	                              sends its own unit, handles the client's queue, and ends
//
// A call has blocked when the watchdog (watchdog.go) finds it still running a tick later, or when
// it asks a gateway something. leader.call is odd during a call and even between calls. A goroutine
// that moves it on from an odd value owns the rest of the work: the leader itself when the call has
// returned, or the goroutine that takes over.
//
// When one handler blocks, others often do as well, for example on a slow database. Therefore the
// messages of a link go to goroutines of the pool for a while after a takeover, one goroutine for
// each client. Then many handlers can block at the same time without a takeover for each.
//
// A session is an actor: it is busy while one of its items runs or is about to. Items that arrive
// meanwhile are queued, and the goroutine that made the session busy handles them in order. The
// queue is bounded by the link's window, because queued items are not acknowledged.

// leader is the state of the goroutine that leads a link. It is passed on with the leadership.
type leader struct {
	call atomic.Uint64

	buf         []byte // buf[pos:have] is read and not handled; bound: what a worker has read
	pos         int
	have        int
	sessions    []*session // by slot; bound: lists of clients
	goroutine   string     // label of the leading goroutine
	batch       unit
	batches     uint64   // batches pushed so far
	clientsLeft int32    // clients that leave the worker with this batch
	messages    int      // messages since the last read
	handled     uint64   // messages to be added to the worker's counter, once a read, because all links share it
	running     *session // the session whose call runs; nil between calls
	pooledUntil uint64   // the watchdog's tick until which messages go to the pool

	handoff sync.Mutex // held while the leadership is passed on
}

const (
	readSize   = 128 << 10 // bytes read at once
	flushEarly = 256 << 10 // bytes of output that are written before the end of the batch
	poolTicks  = 50        // ticks for which a link uses the pool after a call that blocked

	// yieldAfter is how many messages a batch has on a link under load. After such a batch the
	// leader lets other threads run first, so that more messages arrive together. Otherwise it
	// would sleep and be woken for a few messages at a time, which costs more than handling them.
	yieldAfter = 8
)

func (d *leader) init() { d.buf = make([]byte, readSize) }

// lead handles what has been read, writes the effects and reads on, until the link ends or another
// goroutine leads.
func (l *gwLink) lead() {
	defer l.w.tasks.Done()
	d := &l.leader
	d.goroutine = l.w.watch.labelGoroutine()
	select {
	case <-l.w.Ready():
	case <-l.w.late:
	case <-l.gone:
	}
	for {
		l.w.watch.ensureTicking()
		still, err := l.handle()
		if !still {
			return
		}
		l.w.stats.handled.Add(d.handled)
		d.handled = 0
		if err == nil {
			l.commit()
			err = l.fill()
		}
		if err != nil {
			l.fail(err)
			for _, s := range d.sessions {
				if s != nil {
					s.stopTimers()
					s.linger()
				}
			}
			l.w.watch.removeLink(l)
			close(l.done)
			return
		}
	}
}

// fill reads once, after the unhandled rest of the last batch.
func (l *gwLink) fill() error {
	d := &l.leader
	rest := copy(d.buf, d.buf[d.pos:d.have])
	d.pos, d.have = 0, rest
	if rest == len(d.buf) { // one frame larger than the buffer
		d.buf = append(d.buf, make([]byte, len(d.buf))...)
	} else if rest == 0 && len(d.buf) > readSize {
		d.buf = make([]byte, readSize)
	}
	if d.messages >= yieldAfter {
		yield()
	}
	d.messages = 0
	n, err := l.conn.Read(d.buf[rest:])
	d.have += n
	if n > 0 {
		l.received.Store(true)
		return nil
	}
	return err
}

// handle handles all complete frames that were read. It returns false if another goroutine leads
// now.
func (l *gwLink) handle() (still bool, err error) {
	d := &l.leader
	for {
		var f link.Frame
		n, err := link.Next(d.buf[d.pos:d.have], l.maxFrame, &f)
		if n == 0 || err != nil {
			return true, err
		}
		d.pos += n
		if still, err := l.frame(&f); !still || err != nil {
			return still, err
		}
		if len(d.batch.buf) > flushEarly {
			l.commit()
		}
	}
}

func (l *gwLink) frame(f *link.Frame) (still bool, err error) {
	if err := check(f); err != nil {
		return true, err
	}
	switch f.Type {
	case link.Message:
		return l.message(f)
	case link.Attach:
		return l.attach(f)
	case link.Detach:
		return l.detach(f)
	case link.Attrs:
		if s := l.session(f); s != nil {
			return true, s.refresh(f)
		}
		return true, nil
	case link.Reply:
		l.handleReply(f)
		return true, nil
	case link.Ping:
		return true, l.sendPlain(context.Background(), &link.Frame{Type: link.Pong, ID: f.ID}, nil, nil)
	case link.Pong:
		l.handlePong(f.ID)
		return true, nil
	case link.Drain:
		l.noteSuccessor(f)
		return true, nil
	case link.GoAway:
		why := link.Status(f.Code).String()
		if len(f.Payload) > 0 {
			why += ": " + string(f.Payload)
		}
		return true, fmt.Errorf("worker: the gateway ended the link: %s", why)
	}
	return true, nil
}

func (l *gwLink) session(f *link.Frame) *session {
	if d := &l.leader; f.Slot < uint32(len(d.sessions)) {
		if s := d.sessions[f.Slot]; s != nil && s.token == f.Token {
			return s
		}
	}
	return nil
}

func (l *gwLink) attach(f *link.Frame) (bool, error) {
	d := &l.leader
	s, err := newSession(l, f)
	if err != nil {
		return true, err
	}
	if f.Slot >= link.MaxSlots {
		return true, fmt.Errorf("%w: slot %d: must be less than %d", link.ErrFrame, f.Slot, link.MaxSlots)
	}
	for int(f.Slot) >= len(d.sessions) {
		d.sessions = append(d.sessions, nil)
	}
	s.ranIn = d.batches + 1 // the acknowledgement goes out first
	s.awaitPredecessor()
	d.sessions[f.Slot] = s
	l.clients.Add(1)
	if l.w.handler.Connect == nil || !f.Has(link.FlagNew) {
		d.batch.begin(s)
		d.batch.done(f.ID, false)
		if f.Has(link.FlagNew) {
			d.batch.seal() // the gateway must admit the client before later effects (SPEC.md, admission)
		}
		return true, nil
	}
	return l.dispatch(s, &item{kind: itemConnect, number: f.ID}), nil
}

func (l *gwLink) message(f *link.Frame) (bool, error) {
	s := l.session(f)
	if s == nil {
		return true, fmt.Errorf("%w: message of an unknown client", link.ErrFrame)
	}
	if s.number++; f.ID != s.number {
		return true, fmt.Errorf("%w: message has number %d: must be %d", link.ErrFrame, f.ID, s.number)
	}
	l.leader.messages++
	it := item{kind: itemMessage, number: f.ID, flags: f.Flags, data: f.Payload}
	return l.dispatch(s, &it), nil
}

func (l *gwLink) detach(f *link.Frame) (bool, error) {
	s := l.session(f)
	if s == nil {
		return true, fmt.Errorf("%w: detach of an unknown client", link.ErrFrame)
	}
	l.leader.sessions[f.Slot] = nil
	l.leaving.Add(1)
	if f.Has(link.FlagMoved) {
		return l.dispatch(s, &item{kind: itemMoved}), nil
	}
	return l.dispatch(s, &item{kind: itemClose, number: f.ID, reason: Reason(f.Code)}), nil
}

// dispatch runs an item on this goroutine, or queues it for the goroutine that runs the session's
// items. It returns false if another goroutine leads now.
func (l *gwLink) dispatch(s *session, it *item) (still bool) {
	d := &l.leader
	s.mu.Lock()
	if s.busy || d.pooledUntil != 0 && l.stayPooled() {
		it.data = append([]byte(nil), it.data...)
		s.queue = append(s.queue, *it)
		start := !s.busy
		s.busy = true
		s.mu.Unlock()
		if start {
			l.toPool(s)
		}
		return true
	}
	s.busy = true
	s.ranIn = d.batches + 1
	s.beginUnit(&d.batch, it)
	s.mu.Unlock()
	return l.runAsLeader(s, it)
}

// runAsLeader runs an item on the leading goroutine. It returns false if another goroutine leads
// now.
func (l *gwLink) runAsLeader(s *session, it *item) (still bool) {
	d := &l.leader
	d.running = s
	goroutine := d.goroutine
	call := d.call.Load() + 1
	d.call.Store(call)
	returned := false
	defer func() {
		if !returned {
			l.replace(s, it, call)
		}
	}()
	s.call(it)
	returned = true
	if l.finish(s, it, call) {
		return true
	}
	s.runElsewhere(goroutine)
	return false
}

// finish ends the call with the given number. It returns false if another goroutine has taken over
// the leadership. Then the caller must handle the session's queue.
func (l *gwLink) finish(s *session, it *item, call uint64) (still bool) {
	d := &l.leader
	if !d.call.CompareAndSwap(call, call+1) {
		d.handoff.Lock()
		//nolint:staticcheck // SA2001: it waits until takeOver has finished
		d.handoff.Unlock()
		s.endCall(it)
		return false
	}
	d.running = nil
	s.mu.Lock()
	s.endUnit()
	switch {
	case it.end == retried:
		it.data = bytes.Clone(it.data) // it was a view of the read buffer
		s.requeue(it)
	case it.isLast():
		d.batch.acknowledge(it)
		d.clientsLeft++
	default:
		d.batch.acknowledge(it)
		if it.end == done && it.kind == itemMessage {
			d.handled++
		}
	}
	if it.kind == itemConnect {
		d.batch.seal()
	}
	s.busy = len(s.queue) > 0
	more := s.busy
	s.mu.Unlock()
	if more {
		l.toPool(s)
	}
	return true
}

// commit writes the batch's effects and acknowledgements.
func (l *gwLink) commit() {
	l.pushBatch()
	l.flush()
}

// pushBatch appends the batch's effects and acknowledgements to the link's output, when there is
// room.
func (l *gwLink) pushBatch() {
	l.mu.Lock()
	if len(l.leader.batch.buf) > 0 {
		_ = l.awaitRoom(context.Background())
	}
	l.mu.Unlock()
	l.takeBatch()
}

// takeBatch is pushBatch without waiting. Only the leader adds to the batch, so the output exceeds
// its bound by one batch at most.
func (l *gwLink) takeBatch() {
	d := &l.leader
	d.batch.seal()
	d.batches++
	l.mu.Lock()
	if len(d.batch.buf) > 0 {
		l.appendOut(&d.batch.buf)
	}
	l.pushed = d.batches
	l.space.Broadcast()
	l.mu.Unlock()
	if d.clientsLeft > 0 {
		l.noteClientsLeft(d.clientsLeft)
		d.clientsLeft = 0
	}
}

// afterBatch waits until the batch with the given number has been pushed, so that later effects
// cannot overtake it. It reports whether the link is still up.
func (l *gwLink) afterBatch(n uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.pushed < n && !l.ended {
		l.space.Wait()
	}
	return !l.ended
}
