package worker

import (
	"bytes"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// item is one event or timer of a client. A client's items are handled in order.
type item struct {
	kind   itemKind
	flags  uint8
	tries  uint8 // calls so far that have requested another delivery
	end    ending
	ack    uint32 // the number that acknowledges it
	number uint32 // of a message
	reason Reason // of a close
	cause  Cause  // of an adopt
	again  uint32 // of an adopt: messages that are delivered again
	code   uint32 // with which its call has failed; 0: it has not
	data   []byte // of a message; bound: what waits for a client at its worker
	timer  *Timer // of a timer
}

type itemKind uint8

const (
	itemMessage itemKind = iota
	itemConnect
	itemAdopt
	itemClose
	itemMoved
	itemTimer // a timer's function; it is not acknowledged
)

// String returns the kind, as it appears in logs.
func (k itemKind) String() string {
	return [...]string{"message", "connect", "adopt", "close", "moved", "timer"}[k]
}

// ending is how the call of an item has ended.
type ending uint8

const (
	done    ending = iota // it returned nil
	failed                // it failed; its unit has the effects of Handler.Error
	retried               // it will be called again; its unit is empty
)

// isLast reports whether the client leaves this worker with the item.
func (it *item) isLast() bool {
	return (it.kind == itemClose || it.kind == itemMoved) && it.end != retried
}

// succeeded reports whether the item counts as a message that was handled.
func (it *item) succeeded() bool { return it.end == done && it.kind == itemMessage }

// Begin implements executor.Actor.
func (s *session) Begin(it *item, led bool) {
	if led {
		s.unit = &s.link.in.batch
		s.ranIn = s.link.in.batches + 1
	} else {
		s.unit = s.link.w.units.take()
		s.unit.began = s.link.w.rec.Now()
	}
	if it.kind != itemTimer {
		s.unit.begin(s)
	}
	s.running = inCall
	if it.kind == itemConnect {
		s.running = inConnect
	}
	s.calls++
}

// Leave implements executor.Actor: the call gets a unit of its own.
func (s *session) Leave() {
	s.unit = s.unit.split(s.link.w.units.take())
	s.unit.began = s.link.in.record.Began()
}

// End implements executor.Actor.
func (s *session) End(it *item) (again bool) {
	s.endUnit()
	again = it.end == retried
	if again {
		it.tries++
		it.flags |= link.FlagRedelivered
	} else if it.kind != itemTimer {
		s.unit.acknowledge(it)
	}
	d := &s.link.in
	led := s.unit == &d.batch
	s.record(it, led)
	if led {
		if it.isLast() {
			d.clientsLeft++
		}
		if it.succeeded() {
			d.handled++
		}
		if it.kind == itemConnect {
			d.batch.seal() // the gateway must admit the client before later effects (SPEC.md, admission)
		}
	}
	return again
}

// Commit implements executor.Actor: it sends the effects and the acknowledgement of a call that had
// a unit of its own.
func (s *session) Commit(it *item) {
	l, u := s.link, s.unit // only this goroutine uses the unit after the end of the call
	if it.end != retried {
		if it.succeeded() {
			l.w.stats.handled.Add(1)
		}
		u.seal()
		l.afterBatch(s.ranIn)
		l.push(&u.buf)
		l.flush()
	}
	l.w.units.put(u)
	if it.isLast() {
		l.noteClientsLeft(1)
	}
}

// Ready implements executor.Actor.
func (s *session) Ready(it *item) bool {
	if it.tries > 0 {
		backoff.Sleep(s.link.ctx, s.link.w.retryPause(it.tries))
	}
	if s.link.afterBatch(s.ranIn) { // ranIn does not change meanwhile
		return true
	}
	// The gateway gives all unacknowledged events to the client's next worker.
	<-s.link.done // everything that was read has been queued
	s.stopTimers()
	return false
}

// Blocked implements executor.Actor: the client's events must not use the credit of others. There
// is one such frame for each call that blocks, so the output may exceed its bound by these.
func (s *session) Blocked() {
	if s.link.blocks {
		s.link.sendUrgent(link.Frame{Type: link.Blocked, Slot: s.id().slot(), Token: s.token})
	}
}

// Keep implements executor.Actor.
func (s *session) Keep(it *item) { it.data = bytes.Clone(it.data) }

// Run implements executor.Actor. It runs the handler of an item and, if it fails, what follows a
// failure. It records in the item how the call ended.
func (s *session) Run(it *item) {
	returned := false
	defer func() {
		if !returned {
			s.fail(it, s.panicError(it, recover()))
		}
	}()
	it.end, it.code = done, 0
	err := s.handle(it)
	if err == nil {
		err = s.callFailure()
	}
	returned = true
	if err != nil {
		s.fail(it, err)
	}
}

// handle calls the handler of an item, if there is one.
func (s *session) handle(it *item) error {
	h := &s.link.w.handler
	ctx, c := (*callContext)(s), Call{s, s.calls}
	switch {
	case it.kind == itemClose || it.kind == itemMoved:
		s.stopTimers()
		if it.kind == itemMoved || s.refused || h.Close == nil {
			return noCall(s)
		}
		return h.Close(ctx, c, it.reason)
	case s.refused:
		return noCall(s)
	case it.kind == itemConnect:
		return h.Connect(ctx, c)
	case it.kind == itemAdopt:
		return h.Adopt(ctx, c, Takeover{it.cause, int(it.again)})
	case it.kind == itemTimer:
		if !it.timer.start() {
			return noCall(s)
		}
		return it.timer.f(ctx, c)
	case h.Message == nil:
		return noCall(s)
	}
	return h.Message(ctx, c, Message{
		Data: it.data, Number: it.number,
		Binary: it.flags&link.FlagText == 0, Redelivered: it.flags&link.FlagRedelivered != 0,
	})
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 3200 * time.Millisecond
)

// retryPause returns the pause before the delivery that follows the given number of tries.
func (w *Worker) retryPause(tries uint8) time.Duration {
	return min(w.retryIn<<min(tries-1, 8), lastRetry)
}
