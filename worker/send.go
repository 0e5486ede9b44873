package worker

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Publish sends a message to clients, at all gateways. It returns when the message is queued for
// the gateways, whether or not there is such a client. Messages of one goroutine to one client
// arrive in order. A gateway without a link does not get the message: this is counted
// (Stats.CommandsDropped), and Publish returns ErrLinkDown if no gateway has got it.
func (w *Worker) Publish(ctx context.Context, t Target, m Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if id, ok := t.single(); ok {
		var room [64]byte
		key, err := m.appendKey(room[:0])
		if err != nil {
			return err
		}
		var f link.Frame
		id.address(&f, link.Send, m.flags())
		return w.command(ctx, &id, &f, key, m.Data)
	}
	if t.isEmpty() {
		return nil
	}
	var room [256]byte
	code, head, err := t.publish(room[:0], &m)
	if err != nil {
		return err
	}
	return w.sendTo(ctx, &t, &link.Frame{Type: link.Publish, Flags: m.flags(), Code: code}, head, m.Data)
}

// DeleteGroup removes all members from a group, at all gateways. It returns when the command is
// queued for the gateways.
func (w *Worker) DeleteGroup(ctx context.Context, group string) error {
	if err := checkKey(group); err != nil {
		return err
	}
	t := Group(group)
	return w.sendTo(ctx, &t, &link.Frame{Type: link.Dissolve}, nil, []byte(group))
}

// sendTo sends a command to each loop of each gateway that it is for, on the loop's own link, so
// that it keeps its order with other commands to that loop.
func (w *Worker) sendTo(ctx context.Context, t *Target, f *link.Frame, head, body []byte) error {
	if len(head)+len(body) > link.MaxMessage {
		return ErrTooBig
	}
	only, narrowed := w.narrow.recipients(ctx, t)
	reached := narrowed && len(only) == 0 // nobody is to get it
	for id, to := range *w.routes.table.Load() {
		if narrowed {
			if _, holds := slices.BinarySearch(only, id); !holds {
				continue
			}
		}
		if sendToGateway(ctx, to, f, head, body) {
			reached = true
		} else if err := ctx.Err(); err != nil {
			return fmt.Errorf("worker: not sent to all gateways: %w", context.Cause(ctx))
		} else {
			w.stats.dropped.Add(1)
		}
	}
	if !reached {
		return ErrLinkDown
	}
	return nil
}

// sendToGateway sends a command to each loop of a gateway. A loop whose link is down gets it by
// another link. It returns false if no link takes it.
func sendToGateway(ctx context.Context, to route, f *link.Frame, head, body []byte) bool {
	for i, l := range to.loops {
		f.Slot = uint32(i + 1)
		if l != nil && l.sendPlain(ctx, f, head, body) == nil {
			continue
		}
		sent := slices.ContainsFunc(to.loops, func(other *gwLink) bool {
			return other != nil && other.sendPlain(ctx, f, head, body) == nil
		})
		if !sent {
			return false
		}
	}
	return len(to.loops) > 0
}

// command sends a command about a client on the link of the client's loop.
func (w *Worker) command(ctx context.Context, id *ClientID, f *link.Frame, head, body []byte) error {
	if len(head)+len(body) > link.MaxMessage {
		return ErrTooBig
	}
	l := w.routes.link(id.gateway(), id.loop())
	if l == nil {
		return ErrLinkDown
	}
	return l.sendPlain(ctx, f, head, body)
}

// Delivery is the result of Deliver.
type Delivery uint8

// Results of Deliver.
const (
	Delivered Delivery = iota // the gateway has queued the message for the client
	Gone                      // the client is not connected
	// Undelivered: the connection is closing, its send queue is full, or the client's protocol
	// cannot carry the message.
	Undelivered
)

// String returns the result as a word.
func (d Delivery) String() string {
	switch d {
	case Delivered:
		return "delivered"
	case Gone:
		return "gone"
	}
	return "undelivered"
}

// Deliver sends a message to one client and waits until the gateway reports what has happened to
// it. In a handler it takes effect before the effects of the call, which are sent when the handler
// returns.
func (w *Worker) Deliver(ctx context.Context, id ClientID, m Message) (Delivery, error) {
	payload := m.Data
	key, err := m.appendKey(nil)
	if len(key) > 0 {
		payload = append(key, m.Data...)
	}
	var status link.Status
	if err == nil {
		status, _, err = w.ask(ctx, id, link.Send, m.flags(), payload)
	}
	switch {
	case err != nil:
		return Undelivered, err
	case status == link.OK:
		return Delivered, nil
	case status == link.Gone:
		return Gone, nil
	}
	return Undelivered, nil
}

// ask sends a command about a client and waits for its result.
func (w *Worker) ask(
	ctx context.Context, id ClientID, t link.Type, flags uint8, payload []byte,
) (link.Status, []byte, error) {
	l := w.routes.link(id.gateway(), id.loop())
	if l == nil {
		return 0, nil, ErrLinkDown
	}
	var f link.Frame
	id.address(&f, t, flags|link.FlagResult)
	status, q, err := w.question(ctx, l, f, payload)
	if err != nil {
		return 0, nil, err
	}
	return status, q.answer, nil
}
