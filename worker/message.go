package worker

import (
	"fmt"
	"strconv"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Message is a message from a client or to clients. It is a value: changing a copy does not change
// the original.
type Message struct {
	// Data is the payload. In a message from a client it is valid until the handler returns.
	Data []byte
	// Binary is false for UTF-8 text. A message from a client that is not valid UTF-8 is binary, in
	// every protocol.
	Binary bool

	// Redelivered is true if a worker may have handled the message before without acknowledging it.
	// The effects of that worker's Call were discarded. For effects outside of the gateways see
	// Key.
	Redelivered bool
	// Number is the message's position among the messages of the connection, from 1. It is the same
	// at each delivery.
	Number uint32

	// Overflow says what happens when the send queue of a client has no room for the message.
	Overflow Overflow
	// Conflate is a key of at most 65,535 bytes, or empty. Of the messages with one key, only the
	// newest is queued for a slow client, at the end of its queue. It is meant for values that are
	// soon out of date, such as a position or a price.
	Conflate string
	// Raw sends Data to the socket unchanged, without the framing of the client's protocol.
	Raw bool
}

// Overflow says what happens to a message when the send queue of a client has no room for it.
// Droppable messages are those sent with DropOldest or DropNewest. To make room for a message that
// is not droppable, the gateway first drops queued messages that are, the oldest first.
type Overflow uint8

// Overflow policies.
const (
	OverflowDefault Overflow = iota // use the policy of the client's listener
	CloseSlow                       // close the client
	DropOldest                      // drop queued droppable messages, then this one if that is not enough
	DropNewest                      // drop this message
)

// Text returns a text message. Bytes of s that are not valid UTF-8 are replaced by U+FFFD for
// clients of WebSocket, JSON and gateway.Codec, because a WebSocket client must close the
// connection on invalid UTF-8 (RFC 6455 section 8.1). The gateway counts such messages. Clients of
// text:// and frame:// get the bytes unchanged.
func Text(s string) Message { return Message{Data: []byte(s)} }

// TextBytes returns a text message like Text. Data is b itself.
func TextBytes(b []byte) Message { return Message{Data: b} }

// Bytes returns a binary message. Data is b itself.
func Bytes(b []byte) Message { return Message{Data: b, Binary: true} }

// Key returns an idempotency key for a message of c's client. It is the same at each delivery, and
// different for every other message. Use it to make an effect outside of the gateways, such as in a
// database, only once. store.Once does this for effects that a store remembers.
func (m *Message) Key(c Call) string {
	return c.ID().String() + "-" + strconv.FormatUint(uint64(m.Number), 10)
}

func (m *Message) flags() (f uint8) {
	if !m.Binary {
		f |= link.FlagText
	}
	if m.Raw {
		f |= link.FlagRaw
	}
	if m.Conflate != "" {
		f |= link.FlagLatest
	}
	return f | uint8(m.Overflow)<<link.OverflowShift&link.FlagOverflow
}

// appendKey appends the bytes that precede Data on a link.
func (m *Message) appendKey(dst []byte) ([]byte, error) {
	switch {
	case m.Overflow > DropNewest:
		return nil, fmt.Errorf("%w: Message.Overflow: %d: must be at most %d", ErrInvalid, m.Overflow, DropNewest)
	case m.Conflate == "":
		return dst, nil
	case len(m.Conflate) > 0xFFFF:
		return nil, ErrTooBig
	}
	return link.AppendBytes(dst, m.Conflate), nil
}
