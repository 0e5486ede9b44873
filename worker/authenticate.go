package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Identity is what Authenticate knows of a client. The zero value is a client of which nothing is
// known.
type Identity struct {
	// UID is bound to the client before Connect is called, at most 1,024 bytes. Empty means none.
	UID string
	// Attrs are the client's first attributes, at most 1 MiB. No key may be empty.
	Attrs map[string]string
	// Expires is when the client is closed with ReasonExpired. Zero means never.
	Expires time.Time
}

// RefuseStatus returns the error by which Authenticate refuses a WebSocket. The client gets the
// HTTP status, which must be between 400 and 599, and the text, which is cut after 1 KiB. The
// refusal is not logged.
func RefuseStatus(status int, text string) error {
	if status < 400 || status > 599 {
		return fmt.Errorf("%w: RefuseStatus: %d: must be between 400 and 599", ErrInvalid, status)
	}
	return &statusRefusal{status, text}
}

type statusRefusal struct {
	status int
	text   string
}

// Code is the code of the refused call in the statistics.
func (r *statusRefusal) Code() int { return r.status }

func (r *statusRefusal) Error() string {
	return fmt.Sprintf("worker: refused (%d): %s", r.status, r.text)
}

// maxRefusalText bounds the text of a refusal, in bytes.
const maxRefusalText = 1 << 10

// RemoteAddr returns the client's address, as Call.RemoteAddr does. It is known in Authenticate
// only; in other functions it is zero.
func (r *Request) RemoteAddr() netip.AddrPort {
	addr, _ := netip.ParseAddrPort(r.Header(link.RemoteHeader))
	return addr
}

// Listener returns the URL of the listener that the client is connected to. It is known in
// Authenticate only.
func (r *Request) Listener() string { return r.Header(link.ListenerHeader) }

// authenticate answers an AUTHENTICATE on a goroutine of its own. The gateway bounds their number.
func authenticate(l *gwLink, f *link.Frame) error {
	c := link.Read(f.Payload)
	q := c.Question()
	if q.Request == "" || l.w.handler.Authenticate == nil {
		return badPayload(f)
	}
	id, r := f.ID, &Request{Target: link.RequestTarget(q.Request), kept: q.Request}
	ctx, cancel := context.WithTimeout(l.ctx, q.Within)
	go func() {
		defer cancel()
		answer := link.Frame{Type: link.Identity, ID: id, Code: http.StatusInternalServerError}
		defer func() { // also if Authenticate has ended the goroutine
			_ = l.sendPlain(ctx, &answer, nil, answer.Payload) // after an error nobody waits for it
		}()
		known, err := identify(ctx, l.w, r)
		if err == nil {
			answer.Code, answer.Payload = 0, link.AppendKnown(nil, known)
		} else {
			answer.Code, answer.Payload = refusalFrame(err)
		}
	}()
	return nil
}

// refusalFrame returns code and payload of an IDENTITY that refuses a client.
func refusalFrame(err error) (status uint16, text []byte) {
	if r, ok := errors.AsType[*statusRefusal](err); ok {
		return uint16(r.status), []byte(r.text[:min(len(r.text), maxRefusalText)])
	}
	return http.StatusInternalServerError, nil
}

// identify calls Authenticate.
func identify(ctx context.Context, w *Worker, r *Request) (known *link.Known, err error) {
	returned := false
	began := time.Now()
	defer func() { recordAuthenticate(w, r, began, err) }()
	defer func() {
		if !returned {
			w.stats.panics.Add(1)
			err = ErrPanic
			w.log.Error("Authenticate panicked or ended its goroutine", "panic", recover(), "path", r.Path(),
				"stack", string(debug.Stack()))
		}
	}()
	id, err := w.handler.Authenticate(ctx, r)
	if err == nil {
		known, err = id.known()
	}
	returned = true
	reportRefused(ctx, w, r, err)
	return known, err
}

// reportRefused counts the error of Authenticate, and logs it once a second at most. A refusal is
// not logged, nor an error after the call's time.
func reportRefused(ctx context.Context, w *Worker, r *Request, err error) {
	_, refused := errors.AsType[*statusRefusal](err)
	switch {
	case err == nil:
	case refused:
		w.stats.refused.Add(1)
	default:
		w.stats.errors.Add(1)
		if ctx.Err() != nil {
			return
		}
		if more, ok := w.failures.allow(); ok {
			w.log.Error("Authenticate failed", "path", r.Path(), "remote", r.RemoteAddr().String(), "err", err,
				"not-logged", more)
		}
	}
}

// known checks an Identity.
func (id *Identity) known() (*link.Known, error) {
	if len(id.UID) > link.MaxKey {
		return nil, fmt.Errorf("%w: Identity.UID: %d bytes: must be at most %d", ErrTooBig, len(id.UID), link.MaxKey)
	}
	k := &link.Known{Expires: id.Expires, UID: id.UID}
	for _, key := range slices.Sorted(maps.Keys(id.Attrs)) {
		if err := checkName(key); err != nil {
			return nil, fmt.Errorf("Identity.Attrs: %w", err)
		}
		k.Attrs = append(k.Attrs, link.Attribute{Key: key, Value: id.Attrs[key]})
	}
	if n := link.AttributesSize(k.Attrs); n > link.MaxAttributes {
		return nil, fmt.Errorf("%w: Identity.Attrs: %d bytes: must be at most %d", ErrTooBig, n, link.MaxAttributes)
	}
	return k, nil
}
