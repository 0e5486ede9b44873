package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Close closes clients after what was sent to them has gone out. For a Target of one client that is
// not connected it returns ErrGone.
func (w *Worker) Close(ctx context.Context, t Target) error {
	return w.each(ctx, t, link.Kick, 0, nil)
}

// CloseWith sends clients a last message and closes them, as one: a client that is being closed already
// gets none. Of the message Data and Binary count. It returns what Close returns.
func (w *Worker) CloseWith(ctx context.Context, t Target, last Message) error {
	if len(last.Data) > link.MaxMessage {
		return ErrTooBig
	}
	return w.each(ctx, t, link.Kick, last.flags()&link.FlagText|link.FlagLast, last.Data)
}

// CloseNow closes clients at once. What has not gone out to them is lost. It returns what Close
// returns.
func (w *Worker) CloseNow(ctx context.Context, t Target) error {
	return w.each(ctx, t, link.Kick, link.FlagNow, nil)
}

// Join adds clients to a group. It returns when their gateways have done so: ErrRefused when a client
// is in as many groups as its gateway allows, ErrGone for a Target of one client that is not
// connected.
func (w *Worker) Join(ctx context.Context, t Target, group string) error {
	if err := checkKey(group); err != nil {
		return err
	}
	return w.each(ctx, t, link.Join, 0, []byte(group))
}

// Leave removes clients from a group. It returns when their gateways have done so: ErrGone for a
// Target of one client that is not connected.
func (w *Worker) Leave(ctx context.Context, t Target, group string) error {
	if err := checkKey(group); err != nil {
		return err
	}
	return w.each(ctx, t, link.Leave, 0, []byte(group))
}

// Bind gives a client a uid. It returns ErrGone when the client is not connected.
func (w *Worker) Bind(ctx context.Context, id ClientID, uid string) error {
	return w.setUID(ctx, id, link.Bind, 0, uid, checkKey(uid))
}

// BindExclusive gives a client a uid and closes all other clients of that uid, as Call.BindExclusive
// does. When the client and another one are at two gateways, one at a third gateway may be closed
// before it gets what was sent to it. It returns what Bind returns.
func (w *Worker) BindExclusive(ctx context.Context, id ClientID, uid string) error {
	return w.setUID(ctx, id, link.Bind, link.FlagExclusive, uid, checkKey(uid))
}

// Unbind takes a client's uid away. It returns what Bind returns.
func (w *Worker) Unbind(ctx context.Context, id ClientID) error {
	return w.setUID(ctx, id, link.Unbind, 0, "", nil)
}

func (w *Worker) setUID(ctx context.Context, id ClientID, t link.Type, flags uint8, uid string, err error) error {
	if err != nil {
		return err
	}
	return w.commandClient(ctx, id, t, flags, append(make([]byte, 4), uid...))
}

// SetAttrs replaces all attributes of a client. It returns ErrTooBig for more than 1 MiB, ErrRefused
// when the gateway did not take them, and ErrGone when the client is not connected.
func (w *Worker) SetAttrs(ctx context.Context, id ClientID, attrs map[string]string) error {
	return w.setAttrs(ctx, id, attrs, 0)
}

// MergeAttrs changes the attributes given and leaves the others, as Call.MergeAttrs does. It returns
// what SetAttrs returns.
func (w *Worker) MergeAttrs(ctx context.Context, id ClientID, attrs map[string]string) error {
	return w.setAttrs(ctx, id, attrs, link.FlagMerge)
}

func (w *Worker) setAttrs(ctx context.Context, id ClientID, attrs map[string]string, flags uint8) error {
	list, err := attrList(attrs)
	if err != nil {
		return err
	}
	return w.commandClient(ctx, id, link.Set, flags, versioned(0, list))
}

// CompareAndSet replaces all attributes of a client if their version is still the one given. Else it
// returns ErrConflict: read them again, from the Call in a handler, or by Select. In a handler it
// overtakes what the call has done: after a SetAttrs of the same call it finds a conflict. It returns
// what SetAttrs returns besides.
func (w *Worker) CompareAndSet(ctx context.Context, id ClientID, version uint32, attrs map[string]string) error {
	list, err := attrList(attrs)
	if err != nil {
		return err
	}
	status, answer, err := w.ask(ctx, id, link.Set, link.FlagCompare, versioned(version, list))
	if err != nil {
		return err
	}
	if status != link.Conflict {
		return outcome(link.Set, status) // of one that is OK the copy has been told in front of the answer
	}
	r := link.Read(answer)
	present, now := r.U32(), r.Attributes()
	if s := sessionOf(ctx); s != nil && s.id == id && !r.Bad() {
		s.acceptAttrs(present, now)
	}
	return ErrConflict
}

// commandClient sends a command about a client, and returns when it has been carried out.
func (w *Worker) commandClient(ctx context.Context, id ClientID, t link.Type, flags uint8, payload []byte) error {
	status, _, err := w.ask(ctx, id, t, flags, payload)
	if err != nil {
		return err
	}
	return outcome(t, status)
}

// outcome is the error of a command's status.
func outcome(t link.Type, status link.Status) error {
	switch status {
	case link.OK:
		return nil
	case link.Gone:
		return ErrGone
	}
	return fmt.Errorf("%w: %v: %v", ErrRefused, t, status)
}

// askAtOnce is how many commands about several clients wait for their results at a time.
const askAtOnce = 64

// each sends a command about each client of a target, and returns when all have been carried out.
func (w *Worker) each(ctx context.Context, t Target, command link.Type, flags uint8, payload []byte) error {
	if id, ok := t.one(); ok {
		return w.commandClient(ctx, id, command, flags, payload)
	}
	var all sync.WaitGroup
	var first firstError
	room := make(chan struct{}, askAtOnce) // bound: askAtOnce
	for who, err := range w.Select(ctx, t, 0) {
		if err != nil {
			first.set(err)
			continue // the last one
		}
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			if err := w.commandClient(ctx, who.ID, command, flags, payload); err != nil && !errors.Is(err, ErrGone) {
				first.set(err)
			}
		})
	}
	all.Wait()
	return first.err
}

// firstError keeps the first of many errors.
type firstError struct {
	once sync.Once
	err  error
}

func (f *firstError) set(err error) { f.once.Do(func() { f.err = err }) }
