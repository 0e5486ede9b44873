package gateway

import (
	"hash/maphash"

	"sluice/engine"
	"sluice/internal/link"
)

// deliver writes a message to the client. It reports whether the connection took it.
func (s *session) deliver(payload []byte, flags uint8, class engine.Class) bool {
	if s.phase != phaseOpen {
		return false
	}
	s.loop.stats.MessagesOut++
	s.speaks()
	if flags&link.FlagRaw != 0 {
		return s.conn.WriteAs(payload, class) == nil
	}
	b := s.conn.Begin(len(payload))
	before := len(b)
	b = s.codec.Append(b, payload, flags&link.FlagText != 0)
	if len(b) == before { // the format cannot carry it
		s.loop.stats.Unsendable++
		return false
	}
	return s.conn.CommitAs(b, class) == nil
}

// tell writes a text of the gateway's own.
func (s *session) tell(text []byte) { s.deliver(text, link.FlagText, engine.Class{}) }

// classOf reads what a Send or Publish that has been checked says of slow clients, and returns the message behind it. The engine's key is a hash that nobody outside
// can aim at.
func (g *Gateway) classOf(flags uint8, payload []byte) (engine.Class, []byte) {
	class := engine.Class{Overflow: overflowOf(flags)}
	if flags&link.FlagLatest != 0 {
		c := link.Read(payload)
		class.Key = max(maphash.Bytes(g.keys, c.Bytes()), 1)
		payload = c.Rest()
	}
	return class, payload
}

func overflowOf(flags uint8) engine.Overflow {
	switch flags & link.FlagOverflow {
	case link.OverflowClose:
		return engine.CloseSlow
	case link.OverflowOldest:
		return engine.DropOldest
	case link.OverflowNewest:
		return engine.DropNewest
	}
	return 0
}
