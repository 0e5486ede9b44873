package worker

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Handler is the business code of a worker. Every field may be nil. Handler is a struct of
// functions so that a Middleware can copy it and replace some of them.
//
// Connect, Adopt, Message and Close get the Call of one client. If the function returns nil, its
// effects are sent to the gateway together with the acknowledgement of the event. If it returns an
// error, panics or ends its goroutine (runtime.Goexit), its effects are discarded, Error is called,
// and the event is acknowledged. If it returns Retry(err), the event is delivered again instead.
//
// The context is that of the client, as described in the package documentation. Pass it to
// everything that the handler waits for.
type Handler struct {
	// Start is called before the worker dials the first gateway. If it returns an error or panics,
	// Run returns that error. ctx is done when Run begins to drain. Start background work here: a
	// goroutine that ends with ctx and uses w.
	Start func(ctx context.Context, w *Worker) error
	// Authenticate decides whether a WebSocket is opened, and says who its client is. It is called
	// before the client is connected, by one of the workers that have it: often another one than
	// the worker that gets the client. Any number of calls run at the same time, at most 256 for
	// each event loop of a gateway. An error refuses the WebSocket: RefuseStatus with a status of
	// its choice, any other error and a panic with status 500. ctx is done after the gateway's
	// HandshakeTimeout, in which case the client gets status 503, and when the link has ended.
	//
	// A gateway asks from the first time that a worker with Authenticate has connected to it, or
	// from the beginning with --authenticate (gateway.ListenerConfig.Authenticate). WebSockets then
	// wait for such a worker. A gateway with OnUpgrade, or with keys of tokens, does not ask. Clients
	// of other formats have no request and are not asked about.
	Authenticate func(ctx context.Context, r *Request) (Identity, error)
	// Connect is called when a client has connected, before its first message. The client is admitted
	// when Connect returns nil. When Connect fails, the client is closed: see Refuse.
	//
	// Exactly one of Connect and Adopt is called for a client before anything else of it on a link.
	// Connect means that no worker has admitted the client yet.
	Connect func(ctx context.Context, c Call) error
	// Adopt is called when this worker takes over a client that was admitted before, for example
	// because the worker that had it has ended. It is called for every such client, before the
	// client's next message, and before Close if the client has gone meanwhile. Silent clients come
	// soon too, at the pace of the gateway (gateway.Config.AdoptRate). Uid, attributes and groups are
	// as they were; timers and everything in the memory of the former worker are gone. Adopt may do
	// what Connect may do. When it fails, the client stays and its messages are delivered. Refuse
	// closes it.
	//
	// If a worker ends before it has acknowledged that it has adopted a client, the next one adopts
	// it. A client with which each worker ends is closed, as one that connects.
	Adopt func(ctx context.Context, c Call, t Takeover) error
	// Message is called for each message of a client. m.Data is valid until Message returns.
	Message func(ctx context.Context, c Call, m Message) error
	// Close is called when an admitted client has disconnected, after its last message. The uid and
	// the attributes are still available in c. Messages to the client itself have no effect.
	Close func(ctx context.Context, c Call, why Reason) error
	// Error is called when Connect, Adopt, Message, Close or the function of a Timer has failed,
	// unless the event is delivered again. The effects of the failed function are discarded and those
	// of Error are kept. If Error panics, its effects are discarded too.
	Error func(ctx context.Context, c Call, err error)
	// Stop is called after the last call, or when Run stops waiting for calls that do not return
	// (ErrHandlersRunning). ctx is never done.
	Stop func(ctx context.Context, w *Worker)
}

// servesClients reports whether the handler has a function for clients.
func (h *Handler) servesClients() bool {
	return h.Authenticate != nil || h.Connect != nil || h.Adopt != nil || h.Message != nil || h.Close != nil ||
		h.Error != nil
}

// Middleware wraps a handler: it returns a copy of h in which some functions are replaced by
// functions that call those of h. A function of h may be nil.
type Middleware func(h Handler) Handler

// Chain wraps h in middleware. The first middleware is the outermost: it gets an event first and an
// error last.
func Chain(h Handler, middleware ...Middleware) Handler {
	for _, m := range slices.Backward(middleware) {
		h = m(h)
	}
	return h
}

// Retry returns an error that requests another delivery of the event. The effects of the call are
// discarded and the event is not acknowledged. It is delivered again after a pause of 100 ms, which
// doubles up to 3.2 s. If this worker stops meanwhile, another worker gets the event. Later events
// of the client wait.
//
// After Config.MaxDeliveries deliveries by one worker the event becomes a dead letter: Error is
// called with err, the client receives {"type":"sluice.refused","code":"poison","count":1}, and the
// event is acknowledged.
//
// In the function of a Timer, Retry(err) is the same as err. Retry(nil) is nil.
func Retry(err error) error {
	if err == nil {
		return nil
	}
	return &retryError{err}
}

type retryError struct{ err error }

func (e *retryError) Error() string { return e.err.Error() }

func (e *retryError) Unwrap() error { return e.err }

// Refuse returns the error with which Connect or Adopt refuses a client. A WebSocket is closed with
// code and text. code must be 1008 or between 3000 and 4999 (RFC 6455 section 7.4). text is UTF-8
// of at most 123 bytes. For other arguments the error wraps ErrInvalid. Clients of other protocols
// receive {"type":"sluice.closed","reason":"refused"} with code and text. The refusal is counted
// (Stats.Refused) and not logged. Handler.Error is called, and its effects reach the client before
// it is closed. Nothing else is called for the client, not even Close.
func Refuse(code int, text string) error {
	if code != 1008 && (code < 3000 || code > 4999) {
		return fmt.Errorf("%w: Refuse: code %d: must be 1008 or between 3000 and 4999", ErrInvalid, code)
	}
	if len(text) > maxRefusal || !utf8.ValidString(text) {
		return fmt.Errorf("%w: Refuse: text %q: must be UTF-8 of at most %d bytes", ErrInvalid, text, maxRefusal)
	}
	return &refusal{uint16(code), text}
}

type refusal struct {
	code uint16
	text string
}

// payload returns what a KICK with flag REFUSED carries.
func (r *refusal) payload() []byte {
	return append(binary.BigEndian.AppendUint16(nil, r.code), r.text...)
}

// Code is the code of the refused call in the statistics.
func (r *refusal) Code() int { return int(r.code) }

func (r *refusal) Error() string { return fmt.Sprintf("worker: refused (%d): %s", r.code, r.text) }

// maxRefusal is the largest reason of a close frame, in bytes (RFC 6455 section 5.5).
const maxRefusal = 123
