package worker

import (
	"runtime/debug"

	"sluice/internal/link"
)

// item is one thing to be done for a client, in its order.
type item struct {
	kind   itemKind
	flags  uint8
	seq    uint32
	number uint32 // the message's
	reason Reason
	data   []byte // bound: what waits for a client at its worker
	task   func(*Client)
}

type itemKind uint8

const (
	itemMessage itemKind = iota
	itemConnect
	itemClose
	itemMoved
	itemTask // a timer's function: nothing to acknowledge
)

// beginUnit makes a unit the one of the call that is about to run. Called with mu.
func (s *session) beginUnit(u *unit, it *item) {
	u.begin(it.seq)
	s.unit, s.connecting = u, it.kind == itemConnect
}

// call runs one item. It reports false when the handler panicked. One that ends its goroutine (runtime.Goexit) has failed too; call does not return then, and
// who called it sees to what follows as its deferred functions run.
func (s *session) call(it *item) (ok bool) {
	w := s.link.w
	defer func() {
		if ok {
			return
		}
		what, reason := "handler panicked", recover()
		if reason == nil {
			what, reason = "handler ended its goroutine", "runtime.Goexit"
		}
		w.stats.panics.Add(1)
		if it.kind == itemConnect {
			s.refuse()
		}
		w.log.Error(what, "panic", reason, "client", s.id.String(), "listener", s.listener, "stack", string(debug.Stack()))
	}()
	if s.refused && !it.isLast() {
		return true
	}
	switch it.kind {
	case itemMessage:
		w.handler.OnMessage(&s.Client, Message{
			Data: it.data, Binary: it.flags&link.FlagText == 0, Redelivered: it.flags&link.FlagRedelivered != 0, Number: it.number,
		})
	case itemConnect:
		w.onConnect(&s.Client)
	case itemTask:
		it.task(&s.Client)
	case itemClose, itemMoved:
		s.leave(it)
	}
	return true
}

// refuse keeps a client out whose OnConnect has failed: nothing of it is handled but its end.
func (s *session) refuse() {
	s.refused = true
	s.stopTimers()
}

// fail takes back what a call did in a unit. A client whose OnConnect has failed is closed in place of it.
func (s *session) fail(u *unit, it *item) {
	u.discard()
	if it.kind == itemConnect {
		f := link.Frame{Type: link.Kick, Flags: link.FlagRefused, Code: uint16(s.id.Loop()), Slot: s.slot, Token: s.token}
		_ = u.add(&f, nil, nil) // there is room: it is the call's only one
	}
}

// leave is a client's last item.
func (s *session) leave(it *item) {
	s.stopTimers()
	if it.kind == itemClose && s.link.w.onClose != nil {
		s.link.w.onClose(&s.Client, it.reason)
	}
}

// isLast reports whether the client is gone from this worker with the item.
func (it *item) isLast() bool { return it.kind == itemClose || it.kind == itemMoved }

// settle ends a call that had a unit of its own: outputs and acknowledgement go out.
func (s *session) settle(it *item, ok bool) {
	s.mu.Lock()
	u := s.unit
	s.endUnit(ok)
	s.mu.Unlock()
	w := s.link.w
	w.watch.leave(s)
	if ok && it.kind == itemMessage {
		w.stats.handled.Add(1)
	}
	if u == nil {
		return // a task
	}
	if !ok {
		s.fail(u, it)
	}
	u.done(it.seq)
	u.seal()
	u.last = it.isLast()
	s.pass(u)
}

// pass sends what a call with a unit of its own has done, and the acknowledgement.
func (s *session) pass(u *unit) {
	l, last := s.link, u.last
	l.push(&u.buf)
	l.flush()
	l.w.units.put(u)
	if last {
		l.left(1)
	}
}

// turn runs an item that has a unit of its own, and settles it, also when the handler ends the goroutine.
func (s *session) turn(it *item) {
	ok := false
	defer func() { s.settle(it, ok) }()
	ok = s.call(it)
}

// run handles what is queued, in order, and ends the session's turn. The goroutine, whose label is given, is the one that made the session busy.
func (s *session) run(goroutine string) {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.queue, s.busy = nil, false
			next := s.cease()
			s.mu.Unlock()
			next.begin()
			return
		}
		it := s.queue[0]
		s.queue[0] = item{}
		s.queue = s.queue[1:]
		if it.kind != itemTask {
			s.beginUnit(s.link.w.units.take(), &it)
		}
		ranIn := s.ranIn
		s.mu.Unlock()
		if !s.link.afterBatch(ranIn) {
			s.abandon()
			return
		}
		s.link.w.watch.enter(s, goroutine)
		s.link.w.stats.pooled.Add(1)
		s.turn(&it)
	}
}

// runElsewhere is run on a goroutine that is not of the pool. When a handler ends it, the pool goes on.
func (s *session) runElsewhere(goroutine string) {
	over := false
	defer func() {
		if !over {
			s.link.w.pool.start(s)
		}
	}()
	s.run(goroutine)
	over = true
}

// abandon forgets what is queued when the link has ended: the gateway gives all that was not acknowledged to the client's next worker, whose calls must not
// overlap these. The session stays busy, so that nothing runs any more.
func (s *session) abandon() {
	<-s.link.done // all that was read has been queued
	s.mu.Lock()
	s.queue, s.unit = nil, nil
	next := s.cease()
	s.mu.Unlock()
	s.stopTimers()
	next.begin()
}

// begin has the pool run what has queued for a session that had to wait for another; nil: for none.
func (s *session) begin() {
	if s != nil {
		s.link.w.pool.start(s)
	}
}

// queueTask puts a function into the client's order, unless the client has gone.
func (s *session) queueTask(f func(*Client)) {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	s.queue = append(s.queue, item{kind: itemTask, task: f})
	start := !s.busy
	s.busy = true
	s.mu.Unlock()
	if start {
		s.link.w.pool.start(s)
	}
}
