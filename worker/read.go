package worker

import (
	"context"
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/executor"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/record"
)

// A link is a source of the executor (internal/executor). Its leader reads it, runs the handlers on
// views of the read buffer, and writes their effects once a batch.

// input is what the leader of a link has read and has not written. It is passed on with the lead.
type input struct {
	buf         []byte // buf[pos:have] is read and not handled; bound: what a worker has read
	pos         int
	have        int
	started     bool       // the first read is allowed
	takenOver   bool       // the leader is a new one, and has not asked for an event yet
	sessions    []*session // by slot; bound: lists of clients
	batch       unit
	batches     uint64 // batches pushed so far
	clientsLeft int32  // clients that leave the worker with this batch
	messages    int    // messages since the last read
	record      record.Batch
	handled     uint64 // messages to be added to the worker's counter, once a read, because all links share it
}

const (
	readSize   = 128 << 10 // bytes read at once
	flushEarly = 256 << 10 // bytes of output that are written before the end of the batch

	// yieldAfter is how many messages a batch has on a link under load. After such a batch the
	// leader lets other threads run first, so that more messages arrive together. Otherwise it
	// would sleep and be woken for a few messages at a time, which costs more than handling them.
	yieldAfter = 8
)

// Next implements executor.Source. It handles what has been read up to the next event of a client.
// When nothing is left it writes the effects and reads on.
func (l *gwLink) Next(it *item) (executor.Actor[item], error) {
	d := &l.in
	if d.takenOver {
		d.takenOver = false
		d.record.Restart()
	}
	for {
		if len(d.batch.buf) > flushEarly {
			l.commit()
			d.record.Restart()
		}
		var f link.Frame
		n, err := link.Next(d.buf[d.pos:d.have], l.maxFrame, &f)
		if err == nil && n == 0 {
			l.countHandled()
			l.commit()
			if err := l.fill(); err != nil {
				return nil, err
			}
			d.record.Restart()
			continue
		}
		d.pos += n
		var s *session
		if err == nil {
			s, err = l.frame(&f, it)
		}
		if err != nil {
			return nil, err
		}
		if s != nil {
			return s, nil
		}
		d.record.Restart()
	}
}

// countHandled adds the calls to the worker's figures, and the handled messages to its counter.
func (l *gwLink) countHandled() {
	l.in.record.Flush()
	l.w.stats.handled.Add(l.in.handled)
	l.in.handled = 0
}

// fill reads once, after the unhandled rest of the last batch.
func (l *gwLink) fill() error {
	d := &l.in
	if !d.started {
		d.started = true
		select {
		case <-l.w.Ready():
		case <-l.w.late:
		case <-l.gone:
		}
	}
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

// Flush implements executor.Source: later effects of a client must not overtake those in the batch.
func (l *gwLink) Flush() {
	if len(l.in.batch.buf) > 0 {
		l.pushBatch()
	}
}

// TakenOver implements executor.Source.
func (l *gwLink) TakenOver() {
	l.takeBatch()
	// The call's view of its message stays valid: the new leader gets another buffer.
	d := &l.in
	d.record.Flush()
	d.takenOver = true
	rest := d.buf[d.pos:d.have]
	d.buf = make([]byte, max(readSize, len(rest)))
	d.pos, d.have = 0, copy(d.buf, rest)
}

// Ended implements executor.Source: it ends the link.
func (l *gwLink) Ended(err error) {
	l.countHandled()
	l.fail(err)
	for _, s := range l.in.sessions {
		if s != nil {
			s.stopTimers()
		}
	}
	l.w.mu.Lock()
	delete(l.w.led, l)
	l.w.mu.Unlock()
	close(l.done)
}

// frame handles a frame. If it is an event of a client, it stores it in it and returns the client.
func (l *gwLink) frame(f *link.Frame, it *item) (*session, error) {
	if err := check(f); err != nil {
		return nil, err
	}
	switch f.Type {
	case link.Message:
		return l.message(f, it)
	case link.Attach:
		return l.attach(f, it)
	case link.Detach:
		return l.detach(f, it)
	case link.Attrs:
		if s := l.session(f); s != nil {
			return nil, s.refresh(f)
		}
		return nil, nil
	case link.Reply:
		l.handleReply(f)
		return nil, nil
	case link.Permit:
		l.w.narrow.permitted(l, f)
		return nil, nil
	case link.Forget:
		return nil, l.w.narrow.forgets(l, f)
	case link.Authenticate:
		return nil, authenticate(l, f)
	case link.Ping:
		return nil, l.sendPlain(context.Background(), &link.Frame{Type: link.Pong, ID: f.ID}, nil, nil)
	case link.Pong:
		l.handlePong(f.ID)
		return nil, nil
	case link.Drain:
		l.noteSuccessor(f)
		return nil, nil
	case link.GoAway:
		why := link.Status(f.Code).String()
		if len(f.Payload) > 0 {
			why += ": " + string(f.Payload)
		}
		return nil, fmt.Errorf("worker: the gateway ended the link: %s", why)
	}
	return nil, nil
}

func (l *gwLink) session(f *link.Frame) *session {
	if d := &l.in; f.Slot < uint32(len(d.sessions)) {
		if s := d.sessions[f.Slot]; s != nil && s.token == f.Token {
			return s
		}
	}
	return nil
}

func (l *gwLink) attach(f *link.Frame, it *item) (*session, error) {
	d := &l.in
	isNew := f.Has(link.FlagNew)
	c := link.Read(f.Payload)
	a := c.Attachment()
	if !c.End() || a.Cause == link.CauseConnect && !isNew {
		return nil, badPayload(f)
	}
	if l.w.cfg.NoClients {
		return nil, fmt.Errorf("%w: a client for a publisher", link.ErrFrame)
	}
	if f.Slot >= link.MaxSlots {
		return nil, fmt.Errorf("%w: slot %d: must be less than %d", link.ErrFrame, f.Slot, link.MaxSlots)
	}
	for int(f.Slot) >= len(d.sessions) {
		d.sessions = append(d.sessions, nil)
	}
	s := newSession(l, f, &a)
	s.ranIn = d.batches + 1 // the acknowledgement of the ATTACH goes out first
	d.sessions[f.Slot] = s
	l.clients.Add(1)
	switch h := &l.w.handler; {
	case isNew && h.Connect != nil:
		*it = item{kind: itemConnect, ack: f.ID}
		return s, nil
	case !isNew:
		l.w.stats.adopted.Add(1)
		if h.Adopt != nil {
			*it = item{kind: itemAdopt, ack: f.ID, again: a.Redelivered, cause: Cause(a.Cause)}
			return s, nil
		}
	}
	d.batch.begin(s)
	d.batch.done(f.ID, false)
	if isNew {
		d.batch.seal() // the gateway must admit the client before later effects (SPEC.md, admission)
	}
	return nil, nil
}

func (l *gwLink) message(f *link.Frame, it *item) (*session, error) {
	s := l.session(f)
	if s == nil {
		return nil, fmt.Errorf("%w: message of an unknown client", link.ErrFrame)
	}
	if s.number++; f.ID != s.number {
		return nil, fmt.Errorf("%w: message has number %d: must be %d", link.ErrFrame, f.ID, s.number)
	}
	l.in.messages++
	*it = item{kind: itemMessage, ack: f.ID, number: f.ID, flags: f.Flags, data: f.Payload}
	return s, nil
}

func (l *gwLink) detach(f *link.Frame, it *item) (*session, error) {
	s := l.session(f)
	if s == nil {
		return nil, fmt.Errorf("%w: detach of an unknown client", link.ErrFrame)
	}
	l.in.sessions[f.Slot] = nil
	l.leaving.Add(1)
	*it = item{kind: itemClose, ack: f.ID, reason: Reason(f.Code)}
	if f.Has(link.FlagMoved) {
		it.kind = itemMoved
	}
	return s, nil
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
	if len(l.in.batch.buf) > 0 {
		_ = l.awaitRoom(context.Background())
	}
	l.mu.Unlock()
	l.takeBatch()
}

// takeBatch is pushBatch without waiting. Only the leader adds to the batch, so the output exceeds
// its bound by one batch at most.
func (l *gwLink) takeBatch() {
	d := &l.in
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
