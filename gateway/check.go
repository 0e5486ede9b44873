package gateway

import (
	"fmt"

	"sluice/internal/link"
)

// check looks a worker's command through before anything is done: one that passes can be carried out, here and on every other loop.
func (g *Gateway) check(f *link.Frame) error {
	return check(f, len(g.loops))
}

// check does that for a gateway of so many loops.
func check(f *link.Frame, loops int) error {
	if f.Type == link.Send && !f.Has(link.FlagLatest) && int(f.Code) < loops {
		return nil // the most frequent by far
	}
	c := link.Read(f.Payload)
	switch f.Type {
	case link.Send, link.Kick, link.Bind, link.Unbind, link.Join, link.Leave, link.Set:
		if int(f.Code) >= loops {
			return fmt.Errorf("%w: no loop %d", link.ErrFrame, f.Code)
		}
		if f.Type == link.Set || f.Type == link.Bind || f.Type == link.Unbind {
			c.U32()
		}
		if f.Type == link.Set {
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
	case link.Count:
		skipList(&c)
	case link.Select:
		c.Take(1 + 4) // fields, limit
		if at := c.U64() >> cursorBits; at >= uint64(loops) {
			return fmt.Errorf("%w: no loop %d", link.ErrFrame, at)
		}
		skipList(&c)
	case link.Relay:
		return checkRelay(f)
	default:
		return fmt.Errorf("%w: type %d from a worker", link.ErrFrame, f.Type)
	}
	if (f.Type == link.Publish || f.Type == link.Dissolve) && (int(f.Slot) > loops || f.Slot > 0 && f.Has(link.FlagFar)) {
		return fmt.Errorf("%w: no loop %d", link.ErrFrame, f.Slot)
	}
	if f.Type >= link.Publish && f.Code > link.TargetClients {
		return fmt.Errorf("%w: no target %d", link.ErrFrame, f.Code)
	}
	if c.Bad() {
		return fmt.Errorf("%w: payload of a frame of type %d", link.ErrFrame, f.Type)
	}
	return nil
}

// checkRelay looks at the frame within, as far as that can be done here: how many loops the other gateway has only that one knows.
func checkRelay(f *link.Frame) error {
	inner, err := within(f)
	if err != nil {
		return err
	}
	if inner.Type < link.Send || inner.Type > link.Set || inner.Has(link.FlagResult) {
		return fmt.Errorf("%w: type %d in a frame of type %d", link.ErrFrame, inner.Type, f.Type)
	}
	return check(&inner, maxLoops)
}

// checkArrival looks a command through that another gateway has passed on.
func (g *Gateway) checkArrival(f *link.Frame) error {
	if f.Has(link.FlagResult) {
		return fmt.Errorf("%w: a question in a frame of type %d", link.ErrFrame, link.Relay)
	}
	switch f.Type {
	case link.Publish, link.Dissolve:
		if f.Has(link.FlagFar) {
			return fmt.Errorf("%w: to be passed on twice", link.ErrFrame)
		}
	case link.Send, link.Kick, link.Bind, link.Unbind, link.Join, link.Leave, link.Set:
	case link.Evict:
		c := link.Read(f.Payload)
		c.Evict()
		if c.Bad() {
			return fmt.Errorf("%w: payload of a frame of type %d", link.ErrFrame, f.Type)
		}
		return nil
	default:
		return fmt.Errorf("%w: type %d in a frame of type %d", link.ErrFrame, f.Type, link.Relay)
	}
	return g.check(f)
}

// within is the one frame in another's payload.
func within(f *link.Frame) (inner link.Frame, err error) {
	if f.Type != link.Relay {
		return inner, fmt.Errorf("%w: type %d from a gateway", link.ErrFrame, f.Type)
	}
	n, err := link.Next(f.Payload, link.MaxFrame, &inner)
	if err == nil && (n == 0 || n != len(f.Payload)) {
		err = fmt.Errorf("%w: not one command in a frame of type %d", link.ErrFrame, f.Type)
	}
	return inner, err
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
