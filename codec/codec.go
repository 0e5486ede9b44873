package codec

import (
	"cmp"
	"errors"
	"math"
)

// Event says what Decode took from the front of the input.
type Event uint8

// Events.
const (
	None          Event = iota // no message: a pong, a part of a message, white space
	MessageText                // a whole message, valid UTF-8
	MessageBinary              // a whole message, any bytes
	Closed                     // the peer closes the connection; the answer is in the reply
)

var (
	// ErrProtocol is returned when bytes break the rules of their wire format.
	ErrProtocol = errors.New("codec: protocol error")
	// ErrTooBig is returned when a message is, or claims to be, larger than the limit.
	ErrTooBig = errors.New("codec: message too big")
)

// DefaultMaxMessage bounds a message where MaxMessage is zero.
const DefaultMaxMessage = 1 << 20

// The values of Encoding. Codecs with equal values give equal bytes for a message.
const (
	encodingText uint8 = iota + 1
	encodingJSON
	encodingJSONLines
	encodingFrame
	encodingWebSocket // and above
)

// messagesOnly is a format that has neither a farewell nor a ping: the application sends messages
// of its own.
type messagesOnly struct{}

// AppendClose appends nothing.
func (messagesOnly) AppendClose(dst []byte, code uint16, reason string) []byte { return dst }

// AppendPing appends nothing.
func (messagesOnly) AppendPing(dst []byte) []byte { return dst }

func limit(n int) int { return cmp.Or(n, DefaultMaxMessage) }

func limit32(n int) int32 { return int32(min(limit(n), math.MaxInt32/2)) }
