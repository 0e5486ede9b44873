package bench

import (
	"bytes"
	"fmt"
	"slices"
)

// An Envelope describes the protocol of another server: a login, and what is around a message. Over
// WebSocket it uses text messages. Options.Size is the size of the message without its envelope.
// ParseEnvelope makes one from command line flags.
//
// Send, Out and In are templates. {conn} is the number of the connection, {line} its line of
// Options.Data, {time} when a message was due in milliseconds since 1970, {seq} the number of the
// message on its connection, and {NAME} what an Exchange has captured. Send cannot use {seq}.
// {conn} and {seq} of what arrives must be those of the message.
type Envelope struct {
	Opening []Exchange `json:"opening,omitempty"` // before the first message, in turn: a login
	Out     Framing    `json:"out"`               // around a sent message
	In      Framing    `json:"in"`                // around a received message
	// AsSent means that the server returns what was sent, byte for byte: In is Out, and {time} is
	// checked too. Without it, {time} of what arrives may be any number.
	AsSent bool `json:"as_sent,omitempty"`
	// Unaudited counts any message that arrives as the answer to the oldest unanswered one, without
	// looking at its bytes. Only in modes Echo, Connect, Churn and Idle.
	Unaudited bool `json:"unaudited,omitempty"`
	Bare      bool `json:"bare,omitempty"` // with Unaudited: send only Out.Before
	// Ignore is a regular expression. Messages that match it and
	// are not an answer are only counted.
	Ignore    string `json:"ignore,omitempty"`
	Separator string `json:"separator,omitempty"` // between several messages that arrive as one
	Ping      string `json:"ping,omitempty"`      // of the server; Pong answers it
	Pong      string `json:"pong,omitempty"`
}

// Exchange is a step of a login.
type Exchange struct {
	Send    string    `json:"send,omitempty"`    // empty: the server speaks first
	Silent  bool      `json:"silent,omitempty"`  // there is no answer
	Await   string    `json:"await"`             // prefix of the answer
	Match   string    `json:"match,omitempty"`   // regular expression that the answer matches
	Capture []Capture `json:"capture,omitempty"` // what to keep of the answer
}

// Capture names what the only group of a regular expression matches.
type Capture struct {
	Name  string `json:"name"`
	Match string `json:"match"`
}

// Framing is what stands before and after a message.
type Framing struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// around returns p with its framing, and the part of it that is p.
func (f Framing) around(p []byte) (whole, inner []byte) {
	whole = slices.Concat([]byte(f.Before), p, []byte(f.After))
	return whole, whole[len(f.Before) : len(f.Before)+len(p)]
}

// wraps reports whether messages are more than what the bench worker understands.
func (e *Envelope) wraps() bool {
	return e != nil && (e.Out != Framing{} || e.In != Framing{} || e.Unaudited || e.Ignore+e.Ping+e.Separator != "")
}

// inner is the codec that determines the layout of a message. Inside an envelope a
// message has no quotes of its own.
func (o *Options) inner() Codec {
	if o.Envelope.wraps() {
		return Text
	}
	return o.Codec
}

func (c *client) received(p []byte) {
	e := c.shard.opts.Envelope
	switch {
	case e == nil:
		c.arrived(p)
	case e.Separator == "":
		c.unwrap(p)
	default:
		for part := range bytes.SplitSeq(p, []byte(e.Separator)) {
			if len(part) > 0 {
				c.unwrap(part)
			}
		}
	}
}

func (c *client) unwrap(p []byte) {
	s := c.shard.run.plan.script
	switch {
	case c.step < len(s.opening):
		if !c.ignored(p) {
			c.loginAnswered(&s.opening[c.step], p)
		}
	case s.Ping != "" && string(p) == s.Ping:
		c.write([]byte(s.Pong))
	case !s.wraps():
		c.arrived(p)
	case s.Unaudited:
		if !c.ignored(p) {
			c.answeredByAny()
		}
	default:
		inner, ok := s.open(p, &c.values, c.shard)
		switch {
		case ok:
			c.arrived(inner)
		case string(p) == overloaded:
			c.turnedAway(errOverloaded)
		case !c.ignored(p):
			c.unreadable(fmt.Errorf("%q arrived, not the expected reply", excerpt(p)))
		}
	}
}

// ignored reports whether p matches Envelope.Ignore, and counts it.
func (c *client) ignored(p []byte) bool {
	re := c.shard.run.plan.script.ignore
	if re == nil || !re.Match(p) {
		return false
	}
	c.shard.audit.Ignored++
	return true
}

// excerpt shortens p for an error. It keeps both ends: the padding of a message is in the middle.
func excerpt(p []byte) string {
	const most = 128
	if len(p) <= 2*most {
		return string(p)
	}
	return string(p[:most]) + " ... " + string(p[len(p)-most:])
}

// packed returns message seq with its envelope. due is in microseconds since the start of the run.
// The shard has the message.
func (c *client) packed(seq uint32, due int64) []byte {
	s := c.shard
	script := s.run.plan.script
	if script == nil || script.fixed {
		return s.packet
	}
	at := s.run.epoch(due)
	p := script.before.append(s.scratch[:0], &c.values, seq, at)
	if !script.Bare {
		p = append(p, s.message...)
	}
	s.scratch = script.after.append(p, &c.values, seq, at)
	if script.Unaudited {
		c.await(due)
	}
	return s.scratch
}

// maxUnanswered bounds the unanswered messages of an unaudited connection. More end it.
const maxUnanswered = 1 << 16

// waiting are the due times of unanswered messages, in microseconds since the start of the run; the
// oldest is at[first]. bound: messages of a connection of the bench
type waiting struct {
	at    []int64
	first int
}

func (c *client) await(due int64) {
	w := &c.waiting
	if len(w.at)-w.first == maxUnanswered {
		if !c.over {
			c.fail("unanswered", fmt.Errorf("%d messages are unanswered on one connection", maxUnanswered))
		}
		return
	}
	if len(w.at) == cap(w.at) && w.first > len(w.at)/2 {
		w.at = w.at[:copy(w.at, w.at[w.first:])]
		w.first = 0
	}
	w.at = append(w.at, due)
}

// answeredByAny handles an unaudited message as if the oldest unanswered message had come back.
func (c *client) answeredByAny() {
	s, w := c.shard, &c.waiting
	if w.first == len(w.at) {
		s.audit.Received++
		s.audit.Unexpected++
		return
	}
	due := w.at[w.first]
	w.first++
	seq := c.answers
	c.answers++
	c.mistyped = false // it may have any type
	stamp{stream: c.id, seq: seq, at: uint32(due)}.put(s.message[s.layout.stamp:])
	c.arrived(s.message)
}
