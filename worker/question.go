package worker

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// question is a command that waits for its Reply.
type question struct {
	answer  []byte
	partial bool             // a loop of the gateway has not answered
	done    chan link.Status // of one; bound: none, of one
}

// fail ends a question whose link has ended.
func (q *question) fail() { close(q.done) }

// question sends a command down a link, by itself, and waits for the Reply, whose answer and partial are in what it returns. It never runs as part of a unit: a unit goes out
// when its call has returned.
func (w *Worker) question(ctx context.Context, l *gwLink, f link.Frame, payload []byte) (link.Status, *question, error) {
	if len(payload) > link.MaxMessage {
		return 0, nil, ErrTooBig
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.cfg.QueryTimeout)
		defer cancel()
	}
	sessionOf(ctx).aboutToBlock()
	q := &question{done: make(chan link.Status, 1)}
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return 0, nil, ErrLinkDown
	}
	l.request++
	if l.request == 0 {
		l.request++ // 0 asks for no reply
	}
	f.ID = l.request
	l.requests[f.ID] = q
	l.mu.Unlock()
	if err := l.sendPlain(ctx, &f, nil, payload); err != nil {
		return 0, nil, err
	}
	select {
	case status, ok := <-q.done:
		if !ok {
			return 0, nil, ErrLinkDown
		}
		return status, q, nil
	case <-ctx.Done():
		l.mu.Lock()
		delete(l.requests, f.ID)
		l.mu.Unlock()
		return 0, nil, fmt.Errorf("worker: no answer from the gateway: %w", context.Cause(ctx))
	}
}

// answered hands a Reply to who asked; who has given up hears nothing.
func (l *gwLink) answered(f *link.Frame) {
	l.mu.Lock()
	q := l.requests[f.ID]
	delete(l.requests, f.ID)
	l.mu.Unlock()
	if q == nil {
		return
	}
	q.answer, q.partial = slices.Clone(f.Payload), f.Has(link.FlagPartial)
	q.done <- link.Status(f.Code)
}

// aboutToBlock gives the leadership of the session's link away, if the call that runs for the session has it: the answer must be read by another goroutine. Of no session it does nothing.
func (s *session) aboutToBlock() {
	if s == nil {
		return
	}
	call := s.link.leader.call.Load() // before the look at the unit: a call that has returned by then cannot be taken for the one that runs next
	s.mu.Lock()
	leads := s.unit == &s.link.leader.batch
	s.mu.Unlock()
	if leads && call&1 == 1 {
		s.link.takeOver(call)
	}
}
