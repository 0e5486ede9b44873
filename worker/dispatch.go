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
// Each link has a leader: the goroutine that reads it. The leader runs the handlers itself, one after the other, on views of its read buffer, and
// writes their outputs once a batch: no goroutine is woken for a message and none is switched to.
//
//	        read a batch                 call of a handler              returned
//	idle ───────────────────▶ leading ───────────────────▶ in a call ─────────────▶ leading
//	                                                            │ it blocks
//	                                                            ▼
//	                              detached: another goroutine leads, with the rest of the batch
//	                                                            │ returned
//	                                                            ▼
//	                              its own unit, then what has queued for that client, then it ends
//
// A call has blocked when the watch (watch.go) finds it still running a tick later, or when it asks a gateway something. leader.call tells the
// moments apart: odd in a call, even between calls. Whoever moves it on from an odd value owns what follows: the leader itself when the call returned,
// or the one who takes over.
//
// Handlers that block are seldom alone (a slow database). After a takeover the link's messages go to goroutines of the pool for a while, one a
// client, so that many block side by side without a takeover each.
//
// A session is an actor: busy while something of its runs or is about to; what comes meanwhile queues, and is handled in order by whoever made it busy. Its
// queue is bounded by the link's window, for what is queued is not acknowledged.

// leader is what belongs to the goroutine that leads a link, and goes over with the leadership.
type leader struct {
	call atomic.Uint64

	buf       []byte // read and not handled: buf[pos:have]; bound: what a worker has read
	pos       int
	have      int
	seq       uint32     // of the last ATTACH, MESSAGE or DETACH
	sessions  []*session // by slot; bound: lists of clients
	goroutine string     // the leading one's label
	batch     unit
	batches   uint64   // pushed so far
	left      int32    // clients that are gone with this batch
	came      int      // messages since the last read
	handled   uint64   // messages that the worker's figures lack: all links share those, so they are told once a read
	running   *session // in a call: whose
	pooled    uint64   // the watch's tick until which messages go to the pool

	handing sync.Mutex // held while the leadership goes over
}

const (
	readSize   = 128 << 10 // bytes read at once
	flushEarly = 256 << 10 // bytes of output that do not wait for the batch's end
	poolTicks  = 50        // watch ticks that a link stays pooled after a call that blocked

	// poolAfter is how many messages a batch has on a link under load. After such a batch whoever waits for this processor goes first, which lets more messages come
	// together: sleeping and being woken for each few costs more than they do.
	poolAfter = 8
)

func (d *leader) init() { d.buf = make([]byte, readSize) }

// lead handles what has been read, writes what came of it, and reads on, until the link ends or another goroutine leads.
func (l *gwLink) lead() {
	defer l.w.tasks.Done()
	d := &l.leader
	d.goroutine = l.w.watch.name()
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
			l.quit(err)
			for _, s := range d.sessions {
				if s != nil {
					s.stopTimers()
					s.linger()
				}
			}
			l.w.watch.remove(l)
			close(l.done)
			return
		}
	}
}

// fill reads once, behind what is left of the last batch.
func (l *gwLink) fill() error {
	d := &l.leader
	rest := copy(d.buf, d.buf[d.pos:d.have])
	d.pos, d.have = 0, rest
	if rest == len(d.buf) { // one frame larger than the buffer
		d.buf = append(d.buf, make([]byte, len(d.buf))...)
	} else if rest == 0 && len(d.buf) > readSize {
		d.buf = make([]byte, readSize)
	}
	if d.came >= poolAfter {
		yield()
	}
	d.came = 0
	n, err := l.conn.Read(d.buf[rest:])
	d.have += n
	if n > 0 {
		l.heard.Store(true)
		return nil
	}
	return err
}

// handle acts on all whole frames that were read. It reports false when the leadership has gone to another goroutine.
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
	case link.Message, link.Attach, link.Detach:
		return l.sequenced(f)
	case link.Attrs:
		if s := l.session(f); s != nil {
			return true, s.refresh(f)
		}
		return true, nil
	case link.Reply:
		l.answered(f)
		return true, nil
	case link.Ping:
		return true, l.sendPlain(context.Background(), &link.Frame{Type: link.Pong, ID: f.ID}, nil, nil)
	case link.Pong:
		l.ponged(f.ID)
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

// sequenced acts on a frame about a client that is to be acknowledged: none may be missing.
func (l *gwLink) sequenced(f *link.Frame) (still bool, err error) {
	d := &l.leader
	if d.seq++; f.ID != d.seq {
		return true, fmt.Errorf("%w: %v with sequence %d, where %d is due", link.ErrFrame, f.Type, f.ID, d.seq)
	}
	switch f.Type {
	case link.Attach:
		return l.attach(f)
	case link.Detach:
		return l.detach(f)
	}
	return l.message(f)
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
		return true, fmt.Errorf("%w: slot %d", link.ErrFrame, f.Slot)
	}
	for int(f.Slot) >= len(d.sessions) {
		d.sessions = append(d.sessions, nil)
	}
	s.awaitPredecessor()
	d.sessions[f.Slot] = s
	l.clients.Add(1)
	if l.w.handler.Connect == nil || !f.Has(link.FlagNew) {
		d.batch.begin(f.ID)
		d.batch.done(f.ID)
		if f.Has(link.FlagNew) {
			d.batch.seal() // let in before anything else is done (SPEC.md, admission)
		}
		return true, nil
	}
	return l.dispatch(s, &item{kind: itemConnect, seq: f.ID}), nil
}

func (l *gwLink) message(f *link.Frame) (bool, error) {
	s := l.session(f)
	if s == nil {
		return true, fmt.Errorf("%w: a message of no client", link.ErrFrame)
	}
	l.leader.came++
	s.number++
	return l.dispatch(s, &item{kind: itemMessage, seq: f.ID, number: s.number, flags: f.Flags, data: f.Payload}), nil
}

func (l *gwLink) detach(f *link.Frame) (bool, error) {
	s := l.session(f)
	if s == nil {
		return true, fmt.Errorf("%w: the end of no client", link.ErrFrame)
	}
	l.leader.sessions[f.Slot] = nil
	l.leaving.Add(1)
	if f.Has(link.FlagMoved) {
		return l.dispatch(s, &item{kind: itemMoved, seq: f.ID}), nil
	}
	return l.dispatch(s, &item{kind: itemClose, seq: f.ID, reason: Reason(f.Code)}), nil
}

// dispatch runs an item here, or queues it for whoever runs the session's items. It reports false when the leadership was lost meanwhile.
func (l *gwLink) dispatch(s *session, it *item) (still bool) {
	d := &l.leader
	s.mu.Lock()
	if s.busy || d.pooled != 0 && l.stayPooled() {
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

// runAsLeader runs an item on the leading goroutine. It reports false when the leadership was lost meanwhile.
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

// finish ends the call with the number given. It reports false when the leadership was lost meanwhile: what has queued for the session is the caller's then.
func (l *gwLink) finish(s *session, it *item, call uint64) (still bool) {
	d := &l.leader
	if !d.call.CompareAndSwap(call, call+1) {
		d.handing.Lock()
		d.handing.Unlock() //nolint:staticcheck // SA2001: it waits until the one who took over has done so
		s.endCall(it)
		return false
	}
	d.running = nil
	s.mu.Lock()
	s.endUnit()
	switch {
	case it.end == retried:
		it.data = bytes.Clone(it.data) // it was a view of what was read
		s.requeue(it)
	case it.isLast():
		d.batch.done(it.seq)
		d.left++
	default:
		d.batch.done(it.seq)
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

// toPool has the pool run a session's queue, behind what its client was sent so far.
func (l *gwLink) toPool(s *session) {
	l.pushBatch()
	l.w.pool.start(s)
}

func (l *gwLink) stayPooled() bool {
	if l.w.watch.now.Load() < l.leader.pooled {
		return true
	}
	l.leader.pooled = 0
	return false
}

// commit writes the batch's outputs and acknowledgements.
func (l *gwLink) commit() {
	l.pushBatch()
	l.flush()
}

// pushBatch puts the batch's outputs and acknowledgements behind all that waits to be written, once there is room.
func (l *gwLink) pushBatch() {
	l.mu.Lock()
	if len(l.leader.batch.buf) > 0 {
		_ = l.room(context.Background())
	}
	l.mu.Unlock()
	l.takeBatch()
}

// takeBatch is pushBatch without waiting: only the leader adds to the batch, so that what goes past the bound is one batch.
func (l *gwLink) takeBatch() {
	d := &l.leader
	d.batch.seal()
	d.batches++
	l.mu.Lock()
	if len(d.batch.buf) > 0 {
		l.take(&d.batch.buf)
	}
	l.pushed = d.batches
	l.space.Broadcast()
	l.mu.Unlock()
	if d.left > 0 {
		l.noteClientsLeft(d.left)
		d.left = 0
	}
}

// afterBatch waits until the batch with the number given has been pushed: what is done now must not overtake it. It reports whether the link lives.
func (l *gwLink) afterBatch(n uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.pushed < n && !l.ended {
		l.space.Wait()
	}
	return !l.ended
}
