package worker

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Handler is the business code of a worker. Every field may be nil. It is a struct of functions so
// that a Middleware can copy it and replace what it wraps.
//
// Connect, Message and Close are called with the Call of one client. When one of them returns nil
// its effects are sent to the gateway together with the acknowledgement of the event. When it
// returns an error, panics or ends its goroutine (runtime.Goexit), its effects are discarded, Error
// is called, and the event is acknowledged. Retry asks for another delivery instead.
//
// ctx is the client's, as the package documentation says. Pass it to what the handler waits for.
type Handler struct {
	// Start is called before the worker dials the first gateway. An error or a panic ends Run with
	// that error. ctx ends when Run is told to drain. Background work starts here: a goroutine that
	// ends with ctx and acts through w.
	Start func(ctx context.Context, w *Worker) error
	// Connect is called when a client has connected, before its first message. The client is admitted
	// when Connect returns nil. When Connect fails, the client is closed: see Refuse.
	Connect func(ctx context.Context, c Call) error
	// Message is called for each message of a client. m.Data is valid until Message returns.
	Message func(ctx context.Context, c Call, m Message) error
	// Close is called when an admitted client has disconnected, after its last message. c still knows
	// the uid and the attributes. What is sent to the client itself has no effect.
	Close func(ctx context.Context, c Call, why Reason) error
	// Error is called when Connect, Message, Close or the function of a Timer has failed. Effects of
	// the failed function are discarded, those of Error are kept. When Error panics, its effects are
	// discarded too.
	Error func(ctx context.Context, c Call, err error)
	// Stop is called after the last call, or when Run has given up on calls that do not return
	// (ErrHandlersRunning). ctx has no end of its own.
	Stop func(ctx context.Context, w *Worker)
}

// Middleware wraps a handler: it returns a copy of h in which some functions are replaced by
// functions that call those of h. A function of h may be nil.
type Middleware func(h Handler) Handler

// Chain wraps h in middleware. The first one is the outermost: it sees an event first and its
// error last.
func Chain(h Handler, middleware ...Middleware) Handler {
	for _, m := range slices.Backward(middleware) {
		h = m(h)
	}
	return h
}

// Retry makes an error ask for another delivery of the event. The effects of the call are
// discarded and the event is not acknowledged. It is delivered again after a pause of 100 ms, which
// doubles up to 3.2 s, to this worker or, when this one ends, to another; meanwhile later events of the client wait. After
// Config.MaxDeliveries deliveries by one worker the event is a dead letter: Error is called with err,
// the client is told {"type":"sluice.refused","code":"poison","count":1}, and the event is
// acknowledged. Retry has no effect on the function of a Timer, whose error is as any other.
// Retry(nil) is nil.
func Retry(err error) error {
	if err == nil {
		return nil
	}
	return &retryError{err}
}

type retryError struct{ err error }

func (e *retryError) Error() string { return e.err.Error() }

func (e *retryError) Unwrap() error { return e.err }

// Refuse is the error by which Connect refuses a client. A WebSocket is closed with code, which
// must be within 3000 and 4999 or be 1008 (RFC 6455 section 7.4), and text, of at most 123 bytes of
// UTF-8; other arguments make an error that wraps ErrInvalid. Clients of other protocols get
// {"type":"sluice.closed","reason":"refused"} with both. The refusal is counted (Stats.Refused) and
// not logged. Error is called, and its effects reach the client before it is closed.
func Refuse(code int, text string) error {
	if code != 1008 && (code < 3000 || code > 4999) || len(text) > maxRefusal || !utf8.ValidString(text) {
		return fmt.Errorf("%w: Refuse(%d, %q)", ErrInvalid, code, text)
	}
	return &refusal{uint16(code), text}
}

type refusal struct {
	code uint16
	text string
}

func (r *refusal) Error() string { return fmt.Sprintf("worker: refused (%d): %s", r.code, r.text) }

// maxRefusal is what a close frame has room for (RFC 6455 section 5.5).
const maxRefusal = 123
