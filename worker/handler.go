package worker

import (
	"context"
	"fmt"
	"strconv"

	"sluice/internal/link"
)

// Handler is the business. OnMessage is all it needs; what else it wants to hear of it says by implementing Starter, Connector, Closer or Stopper.
// A panic in any of them is logged and counted, and fails only that call (one in OnStart is Run's error instead; one in OnConnect closes the client, which was not let in). So does a call for a client that ends
// its goroutine (runtime.Goexit, which testing.T.FailNow calls).
type Handler interface {
	OnMessage(c *Client, m Message)
}

// HandlerFunc is a Handler of one function.
type HandlerFunc func(c *Client, m Message)

// OnMessage implements Handler.
func (f HandlerFunc) OnMessage(c *Client, m Message) { f(c, m) }

// Starter is a Handler that is called before the worker dials the first gateway; an error or a panic ends Run, with that error. ctx ends with Run.
//
// It is where timers begin that are not about one client (those are Client.After): a goroutine with a time.Ticker that ends with ctx and acts through w. Each worker has its own;
// what is to happen once, however many workers there are, needs one of them to be chosen.
//
//	func (g *game) OnStart(ctx context.Context, w *worker.Worker) error {
//		go func() {
//			tick := time.NewTicker(50 * time.Millisecond)
//			defer tick.Stop()
//			for {
//				select {
//				case <-ctx.Done():
//					return
//				case <-tick.C:
//					_ = w.Publish("arena", g.picture())
//				}
//			}
//		}()
//		return nil
//	}
type Starter interface {
	OnStart(ctx context.Context, w *Worker) error
}

// Connector is a Handler that is called when a client has come, before its first message. It lets the client in by returning; when it fails the client is closed ("Who is let in" in the
// package's documentation).
type Connector interface {
	OnConnect(c *Client)
}

// Closer is a Handler that is called when a client has gone, after its last message, also when its OnConnect failed. c still knows the uid and attributes, and sends nothing to the client.
type Closer interface {
	OnClose(c *Client, r Reason)
}

// Stopper is a Handler that is called when the worker has handled its last message, or has given up on calls that do not return (ErrStuck).
type Stopper interface {
	OnStop(w *Worker)
}

// Message is what a client means, as one piece.
type Message struct {
	// Data is, in a message from a client, a view that is valid until the handler returns.
	Data []byte
	// Binary tells bytes from UTF-8 text, where the client's protocol makes a difference: see Text. A message from a client that is not valid UTF-8 is Binary, whatever its protocol.
	Binary bool
	// Redelivered marks a message that a worker may have handled already, which died, or lost its link, before it could say so. What that one did through its *Client
	// has had no effect; of effects elsewhere nobody knows: see Key.
	Redelivered bool
	// Number counts the messages of the client's connection, from 1, as far as gateways took them. It is the same at each delivery of a message.
	Number uint32
	// Class says more of how it is to be sent; nil: nothing. No message from a client has one.
	Class *Class
}

// Class is how messages are sent that are not like others. It must not change once it has been sent with; many messages may have the same.
type Class struct {
	// Raw makes Data go to the socket as it is, past the client's protocol.
	Raw bool
	// Overflow says what becomes of a message at a client that reads so slowly that it does not fit behind what waits.
	Overflow Overflow
	// Latest, if not empty, is a key: of one key only the newest message waits for a client that reads slowly, behind all others that wait. For what is soon out of
	// date, such as a position, a price, a hint that somebody is typing. In the place of a message that closes the client it does so too.
	Latest string
}

// Overflow says what becomes of a message at a client that has no room for it.
type Overflow uint8

// What becomes of a message that does not fit. One that may not be dropped has waiting ones that may be dropped for it, oldest first, before the client is closed.
const (
	AsListener Overflow = iota // what the client's listener is set to
	CloseSlow                  // the client is closed, rather than that it misses the message
	DropOldest                 // waiting messages that may be dropped are, oldest first; if they are not enough, this one
	DropNewest                 // the message is dropped
)

// Key names the message of the client whose handler was given it: the same at each delivery, and never another message's. With it an effect outside of the gateways,
// in a database, can be made once (an idempotency key); store.Once does so for what a store remembers.
func (m *Message) Key(c *Client) string {
	return c.id.String() + "-" + strconv.FormatUint(uint64(m.Number), 10)
}

// Text is a text message. Text is UTF-8: clients of WebSocket, JSON and a gateway.Codec get U+FFFD in place of bytes that are not, since a WebSocket closes over
// those (RFC 6455 section 8.1), and the gateway counts it (InvalidTexts); clients of text:// and frame:// get the bytes as they are. Bytes sends what is no text.
func Text(s string) Message { return Message{Data: []byte(s)} }

// TextBytes is Text of bytes.
func TextBytes(b []byte) Message { return Message{Data: b} }

// Bytes is a binary message.
func Bytes(b []byte) Message { return Message{Data: b, Binary: true} }

func (m *Message) flags() (f uint8) {
	if !m.Binary {
		f |= link.FlagText
	}
	c := m.Class
	if c == nil {
		return f
	}
	if c.Raw {
		f |= link.FlagRaw
	}
	if c.Latest != "" {
		f |= link.FlagLatest
	}
	return f | uint8(c.Overflow)<<4&link.FlagOverflow
}

// appendKey appends what stands before Data on a link.
func (m *Message) appendKey(dst []byte) ([]byte, error) {
	switch {
	case m.Class == nil:
		return dst, nil
	case m.Class.Overflow > DropNewest:
		return nil, fmt.Errorf("%w: Class.Overflow %d is none of the policies", ErrInvalid, m.Class.Overflow)
	case m.Class.Latest == "":
		return dst, nil
	case len(m.Class.Latest) > 0xFFFF:
		return nil, ErrTooBig
	}
	return link.AppendBytes(dst, m.Class.Latest), nil
}

// ClientID names one client for the time of its connection: opaque, unguessable, never used again.
type ClientID = link.ClientID

// ParseClientID reads the text form of an id.
func ParseClientID(s string) (ClientID, error) { return link.ParseClientID(s) }

// Reason says why a client's connection ended.
type Reason = link.Reason

// The reasons.
const (
	ReasonPeer         = link.ReasonPeer         // the client closed, or its connection broke off cleanly
	ReasonKicked       = link.ReasonKicked       // business code closed it
	ReasonIdle         = link.ReasonIdle         // nothing was heard within the heartbeat limit
	ReasonSlowConsumer = link.ReasonSlowConsumer // it did not read what was sent to it
	ReasonProtocol     = link.ReasonProtocol     // it sent what its protocol forbids
	ReasonTooBig       = link.ReasonTooBig       // a message passed the size limit
	ReasonLimit        = link.ReasonLimit        // a message of it was not whole in time, or unfinished messages took too much memory and it held most of it
	ReasonHandshake    = link.ReasonHandshake    // it did not say anything in the time it had for its first message
	ReasonDraining     = link.ReasonDraining     // the gateway is closing down
	ReasonReplaced     = link.ReasonReplaced     // a newer connection of the same uid
	ReasonNetwork      = link.ReasonNetwork      // the connection failed
	ReasonInternal     = link.ReasonInternal     // a fault of the gateway, or the client was not let in: its OnConnect failed
)
