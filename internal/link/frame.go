package link

import (
	"encoding/binary"
	"errors"
)

// Type is the type of a frame. SPEC.md has the table.
type Type uint8

// These are the frame types from a gateway to a worker.
const (
	Attach  Type = 1
	Message Type = 2
	Detach  Type = 3
	Attrs   Type = 4
	Reply   Type = 5
	// Authenticate asks about a client that has not been opened.
	Authenticate Type = 6
)

// These are the frame types from a worker to a gateway.
const (
	Unit     Type = 16
	Blocked  Type = 17
	Relay    Type = 18 // also between gateways
	Peers    Type = 19
	Send     Type = 20
	Kick     Type = 21
	Bind     Type = 22
	Unbind   Type = 23
	Join     Type = 24
	Leave    Type = 25
	Set      Type = 26
	Publish  Type = 30
	Dissolve Type = 31
	Evict    Type = 32 // between gateways
	Count    Type = 40
	Select   Type = 41
	Invoke   Type = 42

	Authenticates Type = 44
	Identity      Type = 45
	Report        Type = 46
	Locate        Type = 47
)

// These are the frame types of both directions.
const (
	Ping   Type = 48
	Pong   Type = 49
	Drain  Type = 50
	GoAway Type = 51
)

// Confirm is the acknowledgement that one gateway sends to another.
const Confirm Type = 60

// These are the frame types of narrow sends. Ask and Forgotten go to a gateway, from a worker or
// another gateway; Permit and Forget are its own.
const (
	Ask       Type = 61
	Permit    Type = 62
	Forget    Type = 63
	Forgotten Type = 64
)

// These are the flags of a frame. One bit has different meanings in different types.
const (
	FlagText        = 0x01 // Message, Send, Kick, Publish
	FlagOwn         = 0x01 // Bind, Unbind, Set
	FlagRedelivered = 0x02 // Message
	FlagLast        = 0x02 // Kick
	FlagHandled     = 0x02 // Send: it is a unit, and acknowledges the client's messages up to its id
	FlagLeft        = 0x02 // Unit: it acknowledges a DETACH
	FlagEarly       = 0x04 // Unit: it acknowledges nothing
	FlagExclusive   = 0x02 // Bind
	FlagMerge       = 0x02 // Set
	FlagNew         = 0x04 // Attach
	FlagMoved       = 0x04 // Detach
	FlagPartial     = 0x04 // Reply
	FlagNow         = 0x04 // Kick
	FlagCompare     = 0x04 // Set
	FlagFar         = 0x04 // Publish, Dissolve: also at all other gateways
	FlagRaw         = 0x08 // Send, Publish
	FlagRefused     = 0x08 // Kick
	FlagOverflow    = 0x30 // Send, Publish: an engine.Overflow or worker.Overflow, whose numbers are the same
	FlagLatest      = 0x40 // Send, Publish: a key precedes the message
	FlagResult      = 0x80 // any command: answer with a Reply
)

// OverflowShift is the position of the two bits of FlagOverflow.
const OverflowShift = 4

// These are the targets of Publish, Select and Count (the field Code).
const (
	TargetAll     = 0
	TargetGroups  = 1
	TargetUIDs    = 2
	TargetClients = 3
)

// These are the fields of Select. FieldDistinctUIDs and FieldDistinctGroups cannot be combined with
// others.
const (
	FieldUID            = 0x01
	FieldGroups         = 0x02
	FieldAttrs          = 0x04
	FieldDistinctUIDs   = 0x10
	FieldDistinctGroups = 0x20
)

const (
	// HeaderSize is the length of a frame's header, in bytes.
	HeaderSize = 24
	// MaxMessage is the largest payload of a Message or Send frame, in bytes.
	MaxMessage = 16 << 20
	// MaxInvoke is the largest payload of an Invoke frame and of its Reply, in bytes.
	MaxInvoke = 1 << 20
	// MaxReport is the largest payload of a Report frame, in bytes.
	MaxReport = 1 << 20
	// MaxFrame is the largest frame with its header, in bytes.
	MaxFrame = MaxMessage + 64<<10
)

// ErrFrame is returned when bytes are not a frame of this protocol. The link must then be closed.
var ErrFrame = errors.New("link: malformed frame")

// Frame is one message on a link. Payload is a view into the bytes that it was read from.
//
//	0            4      5       6          8         12         16          24
//	| length u32 | type | flags | code u16 | id u32  | slot u32 | token u64 | payload ...
type Frame struct {
	Type    Type
	Flags   uint8
	Code    uint16
	ID      uint32
	Slot    uint32
	Token   uint64
	Payload []byte
}

// Has reports whether flag is set.
func (f *Frame) Has(flag uint8) bool { return f.Flags&flag != 0 }

// Next decodes the frame at the start of in and returns its length. It returns 0 if more bytes are
// needed, and ErrFrame if the length is invalid. limit is the largest frame allowed, with its
// header.
func Next(in []byte, limit int, f *Frame) (int, error) {
	if len(in) < 4 {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint32(in))
	if n < HeaderSize || n > limit {
		return 0, ErrFrame
	}
	if len(in) < n {
		return 0, nil
	}
	h := in[:HeaderSize:HeaderSize]
	f.Type = Type(h[4])
	f.Flags = h[5]
	f.Code = binary.BigEndian.Uint16(h[6:])
	f.ID = binary.BigEndian.Uint32(h[8:])
	f.Slot = binary.BigEndian.Uint32(h[12:])
	f.Token = binary.BigEndian.Uint64(h[16:])
	f.Payload = in[HeaderSize:n:n]
	return n, nil
}

// AppendHeader appends the header of a frame with a payload of the given size. It does not use
// f.Payload.
func AppendHeader(dst []byte, f *Frame, payload int) []byte {
	// Whole words are written in place: a processor stalls when it reads a word that was just
	// written in parts.
	dst = binary.BigEndian.AppendUint64(dst,
		uint64(HeaderSize+payload)<<32|uint64(f.Type)<<24|uint64(f.Flags)<<16|uint64(f.Code))
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.ID)<<32|uint64(f.Slot))
	return binary.BigEndian.AppendUint64(dst, f.Token)
}

// Append appends the whole frame.
func Append(dst []byte, f *Frame) []byte {
	return append(AppendHeader(dst, f, len(f.Payload)), f.Payload...)
}

// Begin appends the header of a frame whose payload is then built in place. Finish fills in the
// length.
//
//	start := len(dst)
//	dst = link.Begin(dst, &f)
//	dst = append(dst, ...)
//	link.Finish(dst, start)
func Begin(dst []byte, f *Frame) []byte { return AppendHeader(dst, f, 0) }

// Finish sets the length of the frame that starts at dst[start] and ends at len(dst).
func Finish(dst []byte, start int) {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
}

// SetHandled makes the SEND that starts at frame[0] a unit, which acknowledges its client's
// messages up to the number.
func SetHandled(frame []byte, number uint32) {
	frame[5] |= FlagHandled
	binary.BigEndian.PutUint32(frame[8:], number)
}
