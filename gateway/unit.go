package gateway

import "github.com/seed-7410fe32/sluice/internal/link"

// unit applies the effects of a client's messages up to number f.ID, and then acknowledges them. It
// checks everything before it applies the first effect, so that a malformed unit has no effect.
func (k *workerLink) unit(f *link.Frame) error {
	x := k.loop.narrow
	if x == nil {
		return k.applyUnit(f)
	}
	if err := k.loop.g.checkUnit(f.Payload); err != nil {
		return err
	}
	waits, sets := x.unit(k, f)
	if waits {
		return nil
	}
	err := k.applyUnit(f)
	x.releaseAll(sets)
	return err
}

// applyUnit is unit for one that needs not wait.
func (k *workerLink) applyUnit(f *link.Frame) error {
	l, left, early := k.loop, f.Has(link.FlagLeft), f.Has(link.FlagEarly)
	s := l.session(f.Slot, f.Token)
	if !early {
		if err := l.book.Check(k.delivery, s.client(), f.ID, left); err != nil {
			return err
		}
	}
	if err := l.g.checkUnit(f.Payload); err != nil {
		return err
	}
	o := k.origin()
	for in := f.Payload; len(in) > 0; {
		var inner link.Frame
		n, _ := link.Next(in, link.MaxFrame, &inner)
		in = in[n:]
		l.command(o, &inner)
	}
	if !early {
		k.ack(s, f.ID, left)
	}
	return nil
}

// plain executes a command that is not in a unit.
func (k *workerLink) plain(f *link.Frame) {
	x := k.loop.narrow
	if x == nil {
		k.loop.command(k.origin(), f)
		return
	}
	waits, sets := x.plain(k, f)
	if waits {
		return
	}
	k.loop.command(k.origin(), f)
	x.releaseAll(sets)
}

// answer applies a SEND that is a unit: it also acknowledges its client's messages up to number
// f.ID.
func (k *workerLink) answer(f *link.Frame) error {
	if x := k.loop.narrow; x != nil && len(x.parking.client) > 0 {
		if waits, _ := x.unit(k, f); waits {
			return nil
		}
	}
	return k.applyAnswer(f)
}

// applyAnswer is answer for one that needs not wait.
func (k *workerLink) applyAnswer(f *link.Frame) error {
	l := k.loop
	s := l.session(f.Slot, f.Token)
	if err := l.book.Check(k.delivery, s.client(), f.ID, false); err != nil {
		return err
	}
	if err := l.g.checkAnswer(f, l.index); err != nil {
		return err
	}
	l.sendTo(s, f)
	k.ack(s, f.ID, false)
	return nil
}
