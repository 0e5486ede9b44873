package bench

import (
	"bytes"
	"fmt"
	"slices"
)

// An Envelope is what a protocol of another make has around a message, so that its servers can be driven as they are: with it a run speaks that protocol. In a WebSocket it
// goes in text messages. Options.Size stays the size of the message alone. ParseEnvelope makes one of what a command line has.
//
// Send, Out and In are templates: {conn} is the number of the connection, {line} its line of Options.Data, {time} the milliseconds since 1970 when a message was due, {seq} its
// number on the connection, and {name} what an Exchange has captured. In Before and After of Out and In all have a meaning, in Send all but {seq}. {conn} and {seq} of what
// arrives have to be those of the message between.
type Envelope struct {
	Opening []Exchange `json:"opening,omitempty"` // what comes before the first message, in turn: a login
	Out     Framing    `json:"out"`               // around what is sent
	In      Framing    `json:"in"`                // around what arrives
	// AsSent has what arrives be what was sent, byte for byte: In is Out, and {time} in it is looked at too. Without it {time} of what arrives may be any number.
	AsSent bool `json:"as_sent,omitempty"`
	// Unaudited has any message that arrives be the answer to the oldest that has none. No byte of it is looked at. Modes echo, connect and churn only.
	Unaudited bool   `json:"unaudited,omitempty"`
	Bare      bool   `json:"bare,omitempty"`      // with Unaudited: Out.Before is all that is sent
	Ignore    string `json:"ignore,omitempty"`    // a regular expression: what arrives and matches it, and is no answer, is counted and no more
	Separator string `json:"separator,omitempty"` // between several that arrive as one message
	Ping      string `json:"ping,omitempty"`      // of the server, and what answers it
	Pong      string `json:"pong,omitempty"`
}

// Exchange is a step of an opening.
type Exchange struct {
	Send    string    `json:"send,omitempty"`    // empty: the server speaks first
	Silent  bool      `json:"silent,omitempty"`  // nothing answers it
	Await   string    `json:"await"`             // how its answer begins
	Match   string    `json:"match,omitempty"`   // a regular expression that its answer matches
	Capture []Capture `json:"capture,omitempty"` // what to take out of the answer
}

// Capture names what the one group of a regular expression matches.
type Capture struct {
	Name  string `json:"name"`
	Match string `json:"match"`
}

// Framing is what stands before and after a message.
type Framing struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// around is the message p in its wrap, and the part of it that is p.
func (w Framing) around(p []byte) (whole, inner []byte) {
	whole = slices.Concat([]byte(w.Before), p, []byte(w.After))
	return whole, whole[len(w.Before) : len(w.Before)+len(p)]
}

// wraps tells whether there is something around a message, or no knowing what is sent: the modes in which the bench's worker has to understand it are not to be had then.
func (e *Envelope) wraps() bool {
	return e != nil && (e.Out != Framing{} || e.In != Framing{} || e.Unaudited || e.Ignore != "" || e.Ping != "" || e.Separator != "")
}

// enveloped tells whether a mode can run in an envelope: those in which no client has a name.
func (m Mode) enveloped() bool { return m != Push && m != Rooms && m != Chat }

// inner is the codec that a message without its wrap is laid out for: in a document it has the quotes of the wrap.
func (o *Options) inner() Codec {
	if o.Envelope.wraps() {
		return Text
	}
	return o.Codec
}

// received takes what arrived as one message of the wire.
func (c *client) received(p []byte) {
	e := c.shard.opts.Envelope
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
	s := c.shard.run.plan.script
	switch {
	case c.step < len(s.opening):
		if !c.ignored(p) {
			c.loggedIn(&s.opening[c.step], p)
		}
	case e.Ping != "" && string(p) == e.Ping:
		c.write([]byte(e.Pong))
	case !e.wraps():
		c.arrived(p)
	case e.Unaudited:
		if !c.ignored(p) {
			c.answeredByAny()
		}
	default:
		inner, ok := s.open(p, &c.who, c.shard)
		switch {
		case ok:
			c.arrived(inner)
		case string(p) == overloaded:
			c.turnedAway(errOverloaded)
		case !c.ignored(p):
			c.garbled(fmt.Errorf("%q arrived, which is not the reply that is expected", excerpt(p)))
		}
	}
}

// ignored tells whether p is of those messages that are no answer, and counts it.
func (c *client) ignored(p []byte) bool {
	re := c.shard.run.plan.script.ignore
	if re == nil || !re.Match(p) {
		return false
	}
	c.shard.audit.Ignored++
	return true
}

// excerpt is p for an error: what stands before and after a message's padding is in it.
func excerpt(p []byte) string {
	const most = 128
	if len(p) <= 2*most {
		return string(p)
	}
	return string(p[:most]) + " … " + string(p[len(p)-most:])
}

// packed is the packet of message seq, due at the time given, in microseconds since the run began. The message itself is in the shard.
func (c *client) packed(seq uint32, due int64) []byte {
	l := c.shard
	s := l.run.plan.script
	if s == nil || s.fixed {
		return l.packet
	}
	at := l.run.epoch(due)
	p := s.before.append(l.scratch[:0], &c.who, seq, at)
	if !s.bare {
		p = append(p, l.message...)
	}
	l.scratch = s.after.append(p, &c.who, seq, at)
	if s.unaudited {
		c.await(due)
	}
	return l.scratch
}

// maxUnanswered is how many messages of a connection can wait for an answer where any message is one. A connection that has more is ended.
const maxUnanswered = 1 << 16

// waiting are the times at which messages were due that have no answer, in microseconds since the run began; the oldest is at[first]. bound: messages of a connection of the bench
type waiting struct {
	at    []int64
	first int
}

// await notes a message that has no answer yet.
func (c *client) await(due int64) {
	w := &c.waiting
	if len(w.at)-w.first == maxUnanswered {
		if !c.over {
			c.fail("unanswered", fmt.Errorf("%d messages have no answer on one connection", maxUnanswered))
		}
		return
	}
	if len(w.at) == cap(w.at) && w.first > len(w.at)/2 {
		w.at = w.at[:copy(w.at, w.at[w.first:])]
		w.first = 0
	}
	w.at = append(w.at, due)
}

// answeredByAny takes whatever arrived as the answer to the oldest message that has none, as if that had come back as it was sent.
func (c *client) answeredByAny() {
	l, w := c.shard, &c.waiting
	if w.first == len(w.at) {
		l.audit.Received++
		l.audit.Unexpected++
		return
	}
	due := w.at[w.first]
	w.first++
	seq := c.answers
	c.answers++
	c.mistyped = false // of whatever type it is
	stamp{stream: c.id, seq: seq, at: uint32(due)}.put(l.message[l.layout.stamp:])
	c.arrived(l.message)
}
