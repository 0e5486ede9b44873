package gateway

import (
	"fmt"

	"sluice/internal/link"
)

// rule is what SPEC.md says of one type of frame from a worker.
type rule struct {
	payload payload
	flags   uint8 // that it may have
}

const (
	sendFlags = link.FlagText | link.FlagRaw | link.FlagOverflow | link.FlagLatest | link.FlagResult
	kickFlags = link.FlagText | link.FlagLast | link.FlagNow | link.FlagResult
	bindFlags = link.FlagOwn | link.FlagExclusive | link.FlagResult
	setFlags  = link.FlagOwn | link.FlagMerge | link.FlagCompare | link.FlagResult
)

// rules are those of all types: what has none is no frame of a worker's.
var rules = [...]rule{
	link.Unit:     {anything, 0}, // its frames are looked at one by one
	link.Credit:   {nothing, 0},
	link.Once:     {anything, 0}, // checkOnce
	link.Send:     {message, sendFlags},
	link.Kick:     {lastMessage, kickFlags},
	link.Bind:     {name, bindFlags},
	link.Unbind:   {nothing, link.FlagOwn | link.FlagResult},
	link.Join:     {name, link.FlagResult},
	link.Leave:    {name, link.FlagResult},
	link.Set:      {change, setFlags},
	link.Publish:  {publication, sendFlags},
	link.Dissolve: {name, link.FlagResult},
	link.Evict:    {eviction, link.FlagResult},
	link.Count:    {targets, link.FlagResult},
	link.Select:   {selection, link.FlagResult},
	link.Ping:     {nothing, 0},
	link.Pong:     {nothing, 0},
	link.Drain:    {nothing, 0},
	link.GoAway:   {anything, 0},
}

// wellFormed holds a frame of a worker's against the rule of its type.
func wellFormed(f *link.Frame) error {
	if int(f.Type) >= len(rules) || rules[f.Type].payload == unknown {
		return fmt.Errorf("%w: type %d from a worker", link.ErrFrame, f.Type)
	}
	r := rules[f.Type]
	if more := f.Flags &^ r.flags; more != 0 {
		return fmt.Errorf("%w: flags %#02x of %v", link.ErrFrame, more, f.Type)
	}
	if !r.payload.fits(f) {
		return fmt.Errorf("%w: payload of %v", link.ErrFrame, f.Type)
	}
	return nil
}

// isCommand reports whether a type is one of those that a unit may hold, and that stand alone too.
func isCommand(t link.Type) bool { return t == link.Once || t >= link.Send && t <= link.Select }

// check looks a worker's command through before anything is done: one that passes can be carried out, here and on every other loop.
func (g *Gateway) check(f *link.Frame) error {
	if f.Type == link.Send && f.Flags&(link.FlagLatest|^uint8(sendFlags)) == 0 && int(f.Code) < len(g.loops) {
		return nil // the most frequent by far
	}
	if !isCommand(f.Type) {
		return fmt.Errorf("%w: %v is no command", link.ErrFrame, f.Type)
	}
	if err := wellFormed(f); err != nil {
		return err
	}
	switch f.Type {
	case link.Send, link.Kick, link.Bind, link.Unbind, link.Join, link.Leave, link.Set:
		if int(f.Code) >= len(g.loops) {
			return fmt.Errorf("%w: no loop %d", link.ErrFrame, f.Code)
		}
	case link.Select:
		c := link.Read(f.Payload)
		c.Take(1 + 4) // fields, limit
		if at := c.U64() >> cursorBits; at >= uint64(len(g.loops)) {
			return fmt.Errorf("%w: no loop %d", link.ErrFrame, at)
		}
	case link.Once:
		return g.checkOnce(f)
	}
	return nil
}

// checkOnce looks at the frame within.
func (g *Gateway) checkOnce(f *link.Frame) error {
	var inner link.Frame
	if len(f.Payload) < onceHeader {
		return fmt.Errorf("%w: %d bytes in a frame of type %d", link.ErrFrame, len(f.Payload), f.Type)
	}
	n, err := link.Next(f.Payload[onceHeader:], link.MaxFrame, &inner)
	if err != nil {
		return err
	}
	if n != len(f.Payload)-onceHeader || inner.Type == link.Once {
		return fmt.Errorf("%w: not one command in a frame of type %d", link.ErrFrame, f.Type)
	}
	return g.check(&inner)
}

// checkUnit looks all frames of a unit through.
func (g *Gateway) checkUnit(in []byte) error {
	for len(in) > 0 {
		var f link.Frame
		n, err := link.Next(in, link.MaxFrame, &f)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: cut within a unit", link.ErrFrame)
		}
		if err := g.check(&f); err != nil {
			return err
		}
		in = in[n:]
	}
	return nil
}
