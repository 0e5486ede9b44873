package gateway

import (
	"fmt"

	"sluice/internal/link"
)

// check looks a worker's command through before anything is done: one that passes can be carried out, here and on every other loop.
func (g *Gateway) check(f *link.Frame) error {
	if f.Type == link.Send && !f.Has(link.FlagLatest) && int(f.Code) < len(g.loops) {
		return nil // the most frequent by far
	}
	c := link.Read(f.Payload)
	switch f.Type {
	case link.Send, link.Kick, link.Bind, link.Unbind, link.Join, link.Leave, link.Set:
		if int(f.Code) >= len(g.loops) {
			return fmt.Errorf("%w: no loop %d", link.ErrFrame, f.Code)
		}
		if f.Type == link.Set {
			c.U32()
			skipAttributes(&c)
		}
		if f.Type == link.Send && f.Has(link.FlagLatest) {
			c.Bytes()
		}
	case link.Publish:
		skipList(&c)
		c.Take(len(link.ClientID{}) * int(c.U16()))
		if f.Has(link.FlagLatest) {
			c.Bytes()
		}
	case link.Dissolve:
	case link.Evict:
		c.Bytes()
		c.ID()
	case link.Count:
		skipList(&c)
	case link.Select:
		c.Take(1 + 4) // fields, limit
		if at := c.U64() >> cursorBits; at >= uint64(len(g.loops)) {
			return fmt.Errorf("%w: no loop %d", link.ErrFrame, at)
		}
		skipList(&c)
	case link.Once:
		return g.checkOnce(f)
	default:
		return fmt.Errorf("%w: type %d from a worker", link.ErrFrame, f.Type)
	}
	if f.Type >= link.Publish && f.Code > link.TargetClients {
		return fmt.Errorf("%w: no target %d", link.ErrFrame, f.Code)
	}
	if c.Bad() {
		return fmt.Errorf("%w: payload of a frame of type %d", link.ErrFrame, f.Type)
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

func skipList(c *link.Cursor) {
	for n := c.U16(); n > 0 && !c.Bad(); n-- {
		c.Bytes()
	}
}

func skipAttributes(c *link.Cursor) {
	for n := c.U16(); n > 0 && !c.Bad(); n-- {
		c.Bytes()
		c.Take(int(c.U32()))
	}
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
