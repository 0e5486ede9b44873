package worker

import (
	"fmt"
	"strconv"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Message is one message, from a client or to clients. It is a value: a changed copy does not change
// the message it was copied from.
type Message struct {
	// Data is the payload. In a message from a client it is valid until the handler returns.
	Data []byte
	// Binary is false for UTF-8 text. A message from a client that is not valid UTF-8 is binary,
	// whatever its protocol.
	Binary bool

	// Redelivered is true when a worker may have handled the message before, without acknowledging
	// it. What that one did through its Call had no effect. For effects elsewhere see Key.
	Redelivered bool
	// Number counts the messages of the client's connection, from 1. It is the same at each delivery.
	Number uint32

	// Overflow says what happens at a client whose send queue has no room for the message.
	Overflow Overflow
	// Conflate, if not empty, is a key of at most 65,535 bytes: of one key only the newest message
	// waits for a slow client, behind all others. It is for what is soon out of date, such as a
	// position, a price, or a hint that somebody is typing.
	Conflate string
	// Raw sends Data to the socket as it is, without the framing of the client's protocol.
	Raw bool
}

// Overflow says what happens to a message for which a client's send queue has no room. For a message
// that may not be dropped, queued messages that may be are dropped first, the oldest first.
type Overflow uint8

// What happens to a message that does not fit.
const (
	OverflowDefault Overflow = iota // what the client's listener is configured with
	CloseSlow                       // the client is closed
	DropOldest                      // queued messages that may be dropped are, the oldest first; if they are not enough, this one is
	DropNewest                      // this message is dropped
)

// Text returns a text message. Bytes of s that are not UTF-8 reach clients of WebSocket, JSON and a
// gateway.Codec as U+FFFD, since a WebSocket must fail over them (RFC 6455 section 8.1), and the
// gateway counts the message; clients of text:// and frame:// get the bytes as they are.
func Text(s string) Message { return Message{Data: []byte(s)} }

// TextBytes returns a text message with the bytes of b, as Text does.
func TextBytes(b []byte) Message { return Message{Data: b} }

// Bytes returns a binary message.
func Bytes(b []byte) Message { return Message{Data: b, Binary: true} }

// Key returns a name for a message of c's client: the same at each delivery, and of no other
// message. With it, effects outside of the gateways, such as in a database, can be made once
// (an idempotency key); store.Once does so for what a store remembers.
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

// appendKey appends what stands before Data on a link.
func (m *Message) appendKey(dst []byte) ([]byte, error) {
	switch {
	case m.Overflow > DropNewest:
		return nil, fmt.Errorf("%w: Message.Overflow %d: must be at most %d", ErrInvalid, m.Overflow, DropNewest)
	case m.Conflate == "":
		return dst, nil
	case len(m.Conflate) > 0xFFFF:
		return nil, ErrTooBig
	}
	return link.AppendBytes(dst, m.Conflate), nil
}
