package gateway

import (
	"bytes"
	"hash/maphash"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// deliver writes a worker's message to the client. It reports whether the connection took it.
func (s *session) deliver(payload []byte, flags uint8, class engine.SendOptions) bool {
	if !s.write(payload, flags, class) {
		return false
	}
	s.loop.stats.MessagesOut++
	return true
}

// write writes a message to the client. It reports whether the connection took it.
func (s *session) write(payload []byte, flags uint8, class engine.SendOptions) bool {
	if s.phase != phaseOpen {
		return false
	}
	s.noteWrite()
	if flags&link.FlagRaw != 0 {
		return s.conn.WriteAs(payload, class) == nil
	}
	text := flags&link.FlagText != 0
	if text && needsUTF8(s.codec) {
		payload = s.loop.validText(payload)
	}
	b := s.conn.Begin(len(payload))
	before := len(b)
	b = s.codec.Append(b, payload, text)
	if len(b) == before { // the format cannot carry it
		s.loop.stats.EncodeErrors++
		return false
	}
	return s.conn.CommitAs(b, class) == nil
}

// sendText writes a text of the gateway's own.
func (s *session) sendText(text []byte) { s.write(text, link.FlagText, engine.SendOptions{}) }

// needsUTF8 reports whether a peer of the format fails the connection over text that is not valid
// UTF-8, or refuses the document: the peers of all formats but those whose payload is any bytes.
// Of a Codec of the program's own it is taken to be so.
func needsUTF8(c messageCodec) bool {
	switch c.(type) {
	case codec.Text, codec.Frame:
		return false
	}
	return true
}

// validText returns a text that is valid UTF-8: the payload, or a copy with U+FFFD in place of each
// run of bytes that is not, as a browser's send and encoding/json do it. One such text of a client's,
// published as it is, would otherwise end all WebSockets that it goes to (RFC 6455 section 8.1).
func (l *loop) validText(payload []byte) []byte {
	if utf8.Valid(payload) {
		return payload
	}
	l.stats.InvalidTexts++
	return bytes.ToValidUTF8(payload, []byte("\uFFFD"))
}

// sendOptionsOf reads what a Send or Publish that has been checked says of slow clients, and returns the message behind it. The engine's key is a hash that nobody outside
// can aim at.
func (g *Gateway) sendOptionsOf(flags uint8, payload []byte) (engine.SendOptions, []byte) {
	class := engine.SendOptions{Overflow: engine.Overflow(flags & link.FlagOverflow >> link.OverflowShift)}
	if flags&link.FlagLatest != 0 {
		c := link.Read(payload)
		class.ConflateKey = max(maphash.Bytes(g.keys, c.Bytes()), 1)
		payload = c.Rest()
	}
	return class, payload
}
