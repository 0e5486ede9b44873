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
	running, batch := s.running != idle, s.ranIn
	s.Mu.Unlock()
	if running { // it is not led any more, so the batch has been pushed or is just being pushed
		s.link.afterBatch(batch)
	}
}

// Invoke calls the function gateway.Config.OnInvoke of a gateway's program, and returns its answer.
// The function is given the payload, of at most 1 MiB, and its answer has at most 1 MiB. Workers
// use it for state that all of them share and that outlives them.
//
// If several gateways have such a function, all workers must call the same one. So Invoke calls
// that of the first gateway in Config.Gateways, and then in the list of Config.Discover, that has
// one, and no other one when that is disconnected, unless both have gateway.Config.SharedInvoke.
// Until all gateways before that one have answered for the first time, Invoke returns ErrLinkDown.
//
// Invoke acts at once, also in a handler. It is not part of the call: if the event is delivered
// again, the handler calls Invoke again. Message.Key tells a function that it has done something
// already.
//
// The errors are ErrLinkDown, ErrTooBig, ErrNoInvoke if no gateway has such a function, ErrInvoke
// with the text of the error if the function has failed, and ErrRefused if too many calls of it are
// running. After an error other than ErrTooBig, ErrNoInvoke and ErrRefused the function may have
// been called.
func (w *Worker) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if len(payload) > link.MaxInvoke {
		return nil, ErrTooBig
	}
	l, err := invoked(ctx, w.addresses.list(), &w.routes)
	if err != nil {
		return nil, err
	}
	status, q, err := w.question(ctx, l, link.Frame{Type: link.Invoke}, payload)
	if err != nil {
		return nil, err
	}
	switch status {
	case link.OK:
		return q.answer, nil
	case link.Failed:
		return nil, fmt.Errorf("%w: %s", ErrInvoke, q.answer)
	case link.Timeout:
		return nil, fmt.Errorf("%w: it took too long", ErrInvoke)
	}
	return nil, fmt.Errorf("%w: %s", ErrRefused, q.answer)
}

// invoked returns the link to the gateway whose function Invoke calls.
func invoked(ctx context.Context, gateways []*gateway, links *routes) (*gwLink, error) {
	down := false // one that is shared has no link
	for _, g := range gateways {
		id, invokes, answered := g.lastHello()
		if !answered {
			return nil, fmt.Errorf("%w: %s has not answered yet", ErrLinkDown, g.addr)
		}
		if !invokes {
			continue
		}
		shared := g.sharesInvoke()
		if !shared && down {
			continue // it cannot stand in for one before it
		}
		if s := sessionOf(ctx); s != nil && s.link.gateway == id {
			return s.link, nil // so that the clients' loops share the work
		}
		if l := links.any(id); l != nil {
			return l, nil
		}
		if down = true; !shared {
			break
		}
	}
	if down {
		return nil, ErrLinkDown
	}
	return nil, ErrNoInvoke
}
