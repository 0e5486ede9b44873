package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Close closes the connections of clients after everything sent to them has been written. If t is
// one client that is not connected, it returns ErrGone.
func (w *Worker) Close(ctx context.Context, t Target) error {
	return w.forEach(ctx, t, link.Kick, 0, nil)
}

// CloseWith sends clients a last message and closes their connections, as one step: a client that
// is already being closed does not get the message. Only Data and Binary of the message are used.
// It returns the errors of Close.
func (w *Worker) CloseWith(ctx context.Context, t Target, last Message) error {
	if len(last.Data) > link.MaxMessage {
		return ErrTooBig
	}
	return w.forEach(ctx, t, link.Kick, last.flags()&link.FlagText|link.FlagLast, last.Data)
}

// CloseNow closes the connections of clients at once. Data that has not been written is lost. It
// returns the errors of Close.
func (w *Worker) CloseNow(ctx context.Context, t Target) error {
	return w.forEach(ctx, t, link.Kick, link.FlagNow, nil)
}

// Join adds clients to a group. It returns when their gateways have done so. It returns ErrRefused
// if a client is already in as many groups as its gateway allows, and ErrGone if t is one client
// that is not connected.
func (w *Worker) Join(ctx context.Context, t Target, group string) error {
	if err := checkKey(group); err != nil {
		return err
	}
	return w.forEach(ctx, t, link.Join, 0, []byte(group))
}

// Leave removes clients from a group. It returns when their gateways have done so. It returns
// ErrGone if t is one client that is not connected.
func (w *Worker) Leave(ctx context.Context, t Target, group string) error {
	if err := checkKey(group); err != nil {
		return err
	}
	return w.forEach(ctx, t, link.Leave, 0, []byte(group))
}

// Bind binds a client to a uid. It returns ErrGone if the client is not connected.
func (w *Worker) Bind(ctx context.Context, id ClientID, uid string) error {
	return w.setUID(ctx, id, link.Bind, 0, uid, checkKey(uid))
}

// BindExclusive binds a client to a uid and closes all other clients of that uid, as
// Call.BindExclusive does. If there are clients of the uid at three or more gateways, one of them
// may be closed before it gets what was sent to it. It returns the errors of Bind.
func (w *Worker) BindExclusive(ctx context.Context, id ClientID, uid string) error {
	return w.setUID(ctx, id, link.Bind, link.FlagExclusive, uid, checkKey(uid))
}

// Unbind removes the uid of a client. It returns the errors of Bind.
func (w *Worker) Unbind(ctx context.Context, id ClientID) error {
	return w.setUID(ctx, id, link.Unbind, 0, "", nil)
}

func (w *Worker) setUID(ctx context.Context, id ClientID, t link.Type, flags uint8, uid string, err error) error {
	if err != nil {
		return err
	}
	return w.commandClient(ctx, id, t, flags, append(make([]byte, 4), uid...))
}

// SetAttrs replaces all attributes of a client. It returns ErrTooBig for more than 1 MiB,
// ErrRefused if the gateway has rejected them, and ErrGone if the client is not connected.
func (w *Worker) SetAttrs(ctx context.Context, id ClientID, attrs map[string]string) error {
	return w.setAttrs(ctx, id, attrs, 0)
}

// MergeAttrs changes the given attributes and keeps the others, as Call.MergeAttrs does. It returns
// the errors of SetAttrs.
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

// CompareAndSet replaces all attributes of a client if their version is the given one. Otherwise it
// returns ErrConflict; then read them again, with the Call in a handler or with Select. In a
// handler it takes effect before the effects of the call: after SetAttrs in the same call it
// returns ErrConflict. It also returns the errors of SetAttrs.
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
		return outcome(link.Set, status) // if it is OK, the gateway has updated the copy before it answered
	}
	r := link.Read(answer)
	present, now := r.U32(), r.Attributes()
	if s := sessionOf(ctx); s != nil && *s.id() == id && !r.Bad() {
		s.acceptAttrs(present, now)
	}
	return ErrConflict
}

// commandClient sends a command about a client and waits for its result.
func (w *Worker) commandClient(ctx context.Context, id ClientID, t link.Type, flags uint8, payload []byte) error {
	status, _, err := w.ask(ctx, id, t, flags, payload)
	if err != nil {
		return err
	}
	return outcome(t, status)
}

// outcome returns the error of a command's status.
func outcome(t link.Type, status link.Status) error {
	switch status {
	case link.OK:
		return nil
	case link.Gone:
		return ErrGone
	}
	return fmt.Errorf("%w: %v: %v", ErrRefused, t, status)
}

// maxParallel is how many commands about the clients of one target wait for their results at a
// time.
const maxParallel = 64

// forEach sends a command about each client of a target and waits for all results.
func (w *Worker) forEach(ctx context.Context, t Target, command link.Type, flags uint8, payload []byte) error {
	if id, ok := t.single(); ok {
		return w.commandClient(ctx, id, command, flags, payload)
	}
	var all sync.WaitGroup
	var first firstError
	room := make(chan struct{}, maxParallel) // bound: maxParallel
	for info, err := range w.Select(ctx, t, 0) {
		if err != nil {
			first.set(err)
			continue // the last one
		}
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			if err := w.commandClient(ctx, info.ID, command, flags, payload); err != nil && !errors.Is(err, ErrGone) {
				first.set(err)
			}
		})
	}
	all.Wait()
	return first.err
}

// firstError keeps the first of several errors.
type firstError struct {
	once sync.Once
	err  error
}

func (f *firstError) set(err error) { f.once.Do(func() { f.err = err }) }
