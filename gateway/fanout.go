package gateway

import (
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
)

// fanout sends one message to many clients of a loop. It encodes the message once for each encoding
// of their codecs.
type fanout struct {
	// Static after init.
	loop *loop
	send func(*registry.Member) // the method to, bound once

	// Owned by the loop.
	message   []byte
	flags     uint8
	all       bool // the message is for all admitted clients
	class     engine.SendOptions
	delivered uint32
	text      []byte          // the message in valid UTF-8; nil: not needed yet
	refused   uint32          // encodings that cannot carry it, one bit each
	encoded   []encoded       // by codec encoding
	targets   [][]byte        // scratch; bound: none, of one command
	except    []link.ClientID // scratch; bound: none, of one command
}

// encoded is the message in one encoding.
type encoded struct {
	memory  *engine.Shared // nil: not needed yet
	message []byte         // empty: not made yet
}

func (p *fanout) init(l *loop) {
	p.loop, p.send = l, p.to
	p.encoded = make([]encoded, encodings+customCodecs(l.g.cfg.Listeners))
}

// to writes the message to one client.
func (p *fanout) to(m *registry.Member) {
	s := p.loop.sessions[m.ID.Slot()]
	if s.phase != phaseOpen || p.all && s.delivery.Entry() != delivery.Admitted {
		return
	}
	if p.flags&link.FlagRaw != 0 {
		if s.deliver(p.message, p.flags, p.class) {
			p.delivered++
		}
		return
	}
	encoding := s.codec.Encoding()
	e := &p.encoded[encoding]
	if len(e.message) == 0 && p.refused&(1<<encoding) == 0 {
		if e.memory == nil {
			e.memory = p.loop.el.NewShared()
		}
		e.message = e.memory.Commit(s.codec.Append(e.memory.Begin(), p.payload(s.codec), p.flags&link.FlagText != 0))
	}
	if len(e.message) == 0 { // the format cannot carry it
		p.refused |= 1 << encoding
		s.loop.stats.EncodeErrors++
		return
	}
	s.noteWrite()
	if s.conn.WriteShared(e.memory, e.message, p.class) == nil {
		s.loop.stats.MessagesOut++
		p.delivered++
	}
}

// payload returns the message as the codec needs it.
func (p *fanout) payload(c messageCodec) []byte {
	if p.flags&link.FlagText == 0 || !needsUTF8(c) {
		return p.message
	}
	if p.text == nil {
		p.text = p.loop.validText(p.message)
	}
	return p.text
}

// parse reads the targets and exclusions of a checked PUBLISH into the scratch lists.
func (p *fanout) parse(g *Gateway, f *link.Frame) {
	c := link.Read(f.Payload)
	p.targets, p.except = p.targets[:0], p.except[:0]
	for range c.U16() {
		p.targets = append(p.targets, c.Bytes())
	}
	for range c.U16() {
		p.except = append(p.except, c.ID())
	}
	p.flags, p.all = f.Flags, f.Code == link.TargetAll
	p.class, p.message = g.sendOptionsOf(f.Flags, c.Rest())
}

// publish sends a message once to each client of this loop that it is for. It returns how many
// connections accepted it.
func (l *loop) publish(f *link.Frame) uint32 {
	p := &l.fan
	p.parse(l.g, f)
	p.delivered, p.refused = 0, 0
	l.members.Walk(f.Code, p.targets, p.except, p.send)
	for i := range p.encoded {
		p.encoded[i].message = nil
	}
	p.message, p.text = nil, nil
	return p.delivered
}
