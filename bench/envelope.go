package bench

import (
	"bytes"
	"fmt"
	"slices"
)

// An Envelope is what a protocol of another make has around a message, so that its servers can be driven as they are: with it a run speaks that protocol in text
// messages of a WebSocket. Options.Size stays the size of the message alone.
type Envelope struct {
	Opening   []Exchange `json:"opening,omitempty"`   // what comes before the first message, in turn
	Out       Wrap       `json:"out"`                 // around what is sent
	In        Wrap       `json:"in"`                  // around what arrives
	Separator string     `json:"separator,omitempty"` // between several that arrive as one WebSocket message
	Ping      string     `json:"ping,omitempty"`      // of the server, and what answers it
	Pong      string     `json:"pong,omitempty"`
}

// Exchange is a step of an opening.
type Exchange struct {
	Send  string `json:"send,omitempty"` // empty: the server speaks first
	Await string `json:"await"`          // how its answer begins
}

// Wrap is what stands before and after a message.
type Wrap struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// around is the message p in its wrap, and the part of it that is p.
func (w Wrap) around(p []byte) (whole, inner []byte) {
	whole = slices.Concat([]byte(w.Before), p, []byte(w.After))
	return whole, whole[len(w.Before) : len(w.Before)+len(p)]
}

// open takes the wrap off.
func (w Wrap) open(p []byte) (inner []byte, ok bool) {
	if inner, ok = bytes.CutPrefix(p, []byte(w.Before)); !ok {
		return nil, false
	}
	return bytes.CutSuffix(inner, []byte(w.After))
}

// enveloped tells whether a mode can run in an envelope: those in which no client has a name.
func (m Mode) enveloped() bool { return m != Push && m != Rooms && m != Chat }

// received takes what arrived as one message of the wire.
func (c *client) received(p []byte) {
	e := c.lane.opts.Envelope
	switch {
	case e == nil:
		c.arrived(p)
	case e.Separator == "":
		c.unwrap(e, p)
	default:
		for part := range bytes.SplitSeq(p, []byte(e.Separator)) {
			if len(part) > 0 {
				c.unwrap(e, part)
			}
		}
	}
}

// unwrap takes one message of the other protocol: a step of the opening, a ping, or one of ours in its wrap.
func (c *client) unwrap(e *Envelope, p []byte) {
	if c.step < len(e.Opening) {
		if want := e.Opening[c.step].Await; !bytes.HasPrefix(p, []byte(want)) {
			c.fail("handshake", fmt.Errorf("%w: %q instead of %q", errOpening, p[:min(len(p), 64)], want))
			return
		}
		c.step++
		c.openNext()
		return
	}
	if e.Ping != "" && string(p) == e.Ping {
		c.write([]byte(e.Pong))
		return
	}
	inner, ok := e.In.open(p)
	if !ok {
		c.garbled(fmt.Errorf("%q arrived, in no envelope of ours", p[:min(len(p), 64)]))
		return
	}
	c.arrived(inner)
}

// openNext sends the next step of the opening; after the last the client is ready.
func (c *client) openNext() {
	e := c.lane.opts.Envelope
	if c.step == len(e.Opening) {
		c.begin()
		return
	}
	if s := e.Opening[c.step].Send; s != "" {
		c.write([]byte(s))
	}
}
