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
	done    chan link.Status // has room for one; bound: none, of one
}

// fail ends a question whose link has ended.
func (q *question) fail() { close(q.done) }

// question sends a command on a link and waits for the Reply. The fields answer and partial of the
// result are set. A command that waits for a Reply is never part of a unit, because a unit is sent
// after its call has returned.
func (w *Worker) question(
	ctx context.Context, l *gwLink, f link.Frame, payload []byte,
) (link.Status, *question, error) {
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

// handleReply gives a Reply to the goroutine that waits for it, if it still waits.
func (l *gwLink) handleReply(f *link.Frame) {
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

// aboutToBlock says that the running call of the session is about to wait for a gateway. Another
// goroutine must read the answer, and earlier effects of the client must go out first. For a nil
// session it does nothing.
func (s *session) aboutToBlock() {
	if s == nil {
		return
	}
	s.link.w.exec.Block(s)
	s.Mu.Lock()
	running, batch := s.running, s.ranIn
	s.Mu.Unlock()
	if running { // it is not led any more, so the batch has been pushed or is just being pushed
		s.link.afterBatch(batch)
	}
}
