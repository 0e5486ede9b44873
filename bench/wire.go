package bench

import (
	"bytes"

	"github.com/seed-7410fe32/sluice/codec"
)

// wire is the client's side of a codec: what all of package codec's have in common.
type wire interface {
	Decode(in, out []byte) (ev codec.Event, payload []byte, n int, reply []byte, err error)
	Append(dst, payload []byte, text bool) []byte
}

// maxMessage is the largest message taken from a server, in bytes.
const maxMessage = 16 << 20

// newWire returns the codec; nil for a WebSocket, which comes out of its handshake.
func newWire(c Codec) wire {
	switch c {
	case Text:
		return codec.Text{MaxMessage: maxMessage}
	case JSON:
		return codec.JSON{MaxMessage: maxMessage}
	case JSONLines:
		return codec.JSONLines{MaxMessage: maxMessage}
	case Frame:
		return codec.Frame{MaxMessage: maxMessage}
	}
	return nil
}

// isText tells whether messages go as text where the codec knows the difference.
func (c Codec) isText() bool { return c != Frame && c != WebSocket }

// isJSON tells whether a message has to be a document: then all of it stands in quotes.
func (c Codec) isJSON() bool { return c == JSON || c == JSONLines || c == Mixed }

// layout says where things are in a payload: a quote for JSON, a verb and its target for the bench worker, the stamp, and padding.
//
//	"b      AAAAAAAAAAAAAAAAxxxxxxxxxxxx"
type layout struct {
	quote  int // 1 for JSON
	target int // where the target is; 0 if there is none
	stamp  int // where the stamp is
	size   int
}

// targetLen is the length of a room's or client's name after the verb.
const targetLen = 6

func layoutOf(m Mode, c Codec, size int) layout {
	l := layout{size: size}
	if c.isJSON() {
		l.quote = 1
	}
	l.stamp = l.quote
	switch m {
	case Broadcast:
		l.stamp++
	case Push, Rooms, Chat:
		l.target = l.quote + 1
		l.stamp = l.target + targetLen
	}
	return l
}

// verb tells whether a message begins with one.
func (l *layout) verb() bool { return l.stamp > l.quote }

// address writes a message's verb and target, where it has them.
func (l *layout) address(p []byte, verb byte, target *[targetLen]byte) {
	if l.verb() {
		p[l.quote] = verb
	}
	if l.target > 0 {
		copy(p[l.target:], target[:])
	}
}

// least is the size of the smallest payload.
func (l layout) least() int { return l.stamp + stampLen + l.quote }

// template is a whole payload with an empty stamp.
func (l layout) template() []byte {
	b := bytes.Repeat([]byte("x"), l.size)
	if l.quote > 0 {
		b[0], b[len(b)-1] = '"', '"'
	}
	return b
}
