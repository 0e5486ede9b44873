package bench

import (
	"bytes"

	"github.com/seed-7410fe32/sluice/codec"
)

// wire is the client's side of a codec.
type wire interface {
	Decode(in, out []byte) (ev codec.Event, payload []byte, n int, reply []byte, err error)
	Append(dst, payload []byte, text bool) []byte
}

// maxMessage is the largest message that is taken from a server, in bytes.
const maxMessage = 16 << 20

// newWire returns a codec; nil for WebSocket, whose codec comes out of the handshake.
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

// isText reports whether messages are sent as text, for codecs that distinguish text and binary.
func (c Codec) isText() bool { return c != Frame && c != WebSocket }

// isJSON reports whether a message must be a JSON document: a string in quotes.
func (c Codec) isJSON() bool { return c == JSON || c == JSONLines || c == Mixed }

// layout is where the parts of a payload are: a quote for JSON, a verb and its target for the bench
// worker, the stamp, and padding.
//
//	"b      AAAAAAAAAAAAAAAAxxxxxxxxxxxx"
type layout struct {
	quote  int // 1 for JSON
	target int // offset of the target; 0 if there is none
	stamp  int // offset of the stamp
	size   int
}

// targetLen is the length of the name of a room or client.
const targetLen = 6

func layoutOf(m Mode, c Codec, size int) layout {
	l := layout{size: size}
	if c.isJSON() {
		l.quote = 1
	}
	l.stamp = l.quote
	switch {
	case m == Broadcast:
		l.stamp++
	case m.named():
		l.target = l.quote + 1
		l.stamp = l.target + targetLen
	}
	return l
}

func (l *layout) verb() bool { return l.stamp > l.quote }

// address writes the verb and the target, if the layout has them.
func (l *layout) address(p []byte, verb byte, target *[targetLen]byte) {
	if l.verb() {
		p[l.quote] = verb
	}
	if l.target > 0 {
		copy(p[l.target:], target[:])
	}
}

func (l layout) least() int { return l.stamp + stampLen + l.quote }

// template returns a payload with padding in the place of the stamp.
func (l layout) template() []byte {
	b := bytes.Repeat([]byte("x"), l.size)
	if l.quote > 0 {
		b[0], b[len(b)-1] = '"', '"'
	}
	return b
}
