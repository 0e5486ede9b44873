package gateway

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net/netip"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// simClient is a client of a schedule, and the known state of its messages.
type simClient struct {
	w          *world
	index      int
	gate, loop int
	peer       *enginetest.Peer
	session    *session
	left       bool // it has closed the connection, or was closed
	ended      bool // it has closed its side, and reads
	bidden     bool // it was told that the gateway closes down
	deadly     map[int]bool
	unwelcome  bool                 // no worker admits it
	kept       bool                 // it was told that it is refused
	aims       map[int][]*simClient // clients to which the handlers of its events send something

	// What it has received.
	in      []byte
	echoes  []int
	got     map[effect]int
	newest  map[int]int // by sender: the event whose effect came last
	refused int

	said int // messages

	// What workers have received.
	numbers  map[int]uint32   // of messages
	messages map[uint32]int   // by number
	on       map[int]*holding // where a message was last
	applied  map[int]bool     // events
	last     int              // last message that was applied
}

func (w *world) addClient() {
	c := &simClient{
		w: w, index: len(w.clients), gate: w.rng.IntN(len(w.gates)), loop: w.rng.IntN(w.loops), last: -1,
		deadly: map[int]bool{}, aims: map[int][]*simClient{}, got: map[effect]int{}, newest: map[int]int{},
		numbers: map[int]uint32{}, messages: map[uint32]int{}, on: map[int]*holding{}, applied: map[int]bool{},
	}
	if w.gates[c.gate].draining {
		return // it accepts no clients any more
	}
	if w.bold && w.rng.IntN(20) == 0 {
		c.deadly[connect] = true
	}
	if w.bold && w.rng.IntN(20) == 0 {
		c.deadly[gone] = true
	}
	if w.bold && w.rng.IntN(30) == 0 {
		c.deadly[adopted] = true
	}
	c.unwelcome = w.bold && w.rng.IntN(20) == 0
	w.clients = append(w.clients, c)
	g := w.gates[c.gate]
	c.session = &session{lis: g.lis}
	c.peer = g.sim.Open(c.loop, c.addr(), c.session, engine.ConnOptions{MaxOutput: 64 << 20})
}

func (c *simClient) addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(c.index+1))
}

// clientAt finds a client by the address in an attachment.
func (w *world) clientAt(remote string) *simClient {
	for _, c := range w.clients {
		if c.addr().String() == remote {
			return c
		}
	}
	w.fail("nobody is %q", remote)
	return nil
}

// say sends messages. Most are small, a few are larger than a worker's credit, and some kill the
// worker that handles them.
func (c *simClient) say(count int) {
	if c.left {
		return
	}
	for range count {
		size := c.w.rng.IntN(100)
		if c.w.rng.IntN(30) == 0 {
			size = c.w.rng.IntN(2 * window)
		}
		if c.w.bold && c.w.rng.IntN(150) == 0 {
			c.deadly[c.said] = true
		}
		b := binary.BigEndian.AppendUint32(nil, uint32(c.index))
		b = binary.BigEndian.AppendUint32(b, uint32(c.said))
		c.said++
		c.peer.Send(codec.Frame{}.Append(nil, append(b, make([]byte, size)...), false))
	}
}

// leave closes the connection, normally or with a reset that loses what is in transit.
func (c *simClient) leave(broken bool) {
	switch {
	case c.left:
	case broken:
		c.left = true
		c.peer.Reset()
	default:
		c.left, c.ended = true, true
		c.peer.HangUp()
	}
}

func (c *simClient) kills(n int) bool { return c.deadly[n] }

// targets are the same however often an event is handled.
func (c *simClient) targets(n int) []*simClient {
	if _, known := c.aims[n]; !known {
		c.aims[n] = nil
		for range c.w.rng.IntN(3) {
			c.aims[n] = append(c.aims[n], c.w.clients[c.w.rng.IntN(len(c.w.clients))])
		}
	}
	return c.aims[n]
}

// send is the command that sends something to the client.
func (c *simClient) send(e effect) *link.Frame {
	var b []byte
	for _, n := range []int{e.client, e.n, e.index, e.to} {
		b = binary.BigEndian.AppendUint32(b, uint32(int32(n)))
	}
	id := c.session.member.ID
	return &link.Frame{Type: link.Send, Code: uint16(id.Loop()), Slot: id.Slot(), Token: id.Token(), Payload: b}
}

// receive reads what has come.
func (c *simClient) receive() {
	b := c.peer.Take()
	c.w.note(b)
	c.in = append(c.in, b...)
	for {
		_, payload, n, _, err := codec.Frame{MaxMessage: 1 << 20}.Decode(c.in, nil)
		if err != nil {
			c.w.fail("client %d receives what is no frame", c.index)
		}
		if n == 0 {
			break
		}
		if payload[0] == '{' {
			c.isRefused(payload)
		} else {
			c.isSent(payload)
		}
		c.in = c.in[n:]
	}
	if c.peer.Closed() && !c.left && !c.bidden && !c.kept {
		c.w.fail("client %d was disconnected", c.index)
	}
	c.left = c.left || c.peer.Closed() || c.bidden
}

func (c *simClient) isRefused(payload []byte) {
	var r struct {
		Type   string
		Code   string
		Reason string
		Count  int
	}
	if err := json.Unmarshal(payload, &r); err != nil {
		c.w.fail("client %d receives %q", c.index, payload)
	}
	switch {
	case r.Type == "sluice.draining":
		c.receivesReason()
	case r.Reason == link.ReasonInternal.String():
		if c.kept = c.isKeptOut(); !c.kept {
			c.w.fail("client %d receives that it is not let in, and it is", c.index)
		}
		c.w.seen.KeptOut++
	}
	c.refused += r.Count
}

// isKeptOut reports whether the client's gateway refuses it, or cannot give it to a worker.
func (c *simClient) isKeptOut() bool { return c.session.delivery.Entry() >= delivery.Rejected }

func (c *simClient) isSent(payload []byte) {
	at := func(i int) int { return int(int32(binary.BigEndian.Uint32(payload[4*i:]))) }
	e := effect{at(0), at(1), at(2), at(3)}
	if e.to != c.index {
		c.w.fail("client %d receives what is for client %d", c.index, e.to)
	}
	if e.index == 0 {
		if len(c.echoes) > 0 && c.echoes[len(c.echoes)-1] >= e.n {
			c.w.fail("client %d receives its message %d behind %d", c.index, e.n, c.echoes[len(c.echoes)-1])
		}
		c.echoes = append(c.echoes, e.n)
		return
	}
	if c.got[e]++; c.got[e] > 1 {
		c.w.fail("client %d receives %+v twice", c.index, e)
	}
	n := e.n
	if n == gone {
		n = math.MaxInt
	}
	if newest, ok := c.newest[e.client]; ok && newest > n {
		c.w.fail("client %d receives %+v behind %d", c.index, e, newest)
	}
	c.newest[e.client] = n
}

// attached checks that a worker may get the client now.
func (c *simClient) attached(l *simLink, f *link.Frame) {
	if l.k.ended {
		return // it comes late, from a gateway that has given up the link
	}
	if f.Has(link.FlagNew) && c.applied[connect] {
		c.w.fail("client %d is new although a worker has handled that it came", c.index)
	}
	for _, other := range c.w.links {
		if other == l || other.over || other.k.ended {
			continue
		}
		for _, e := range other.events {
			if e.of.client == c && !e.moved {
				c.w.fail("client %d is with two workers at a time", c.index)
			}
		}
	}
}

// delivered checks a message that a worker receives.
func (c *simClient) delivered(l *simLink, h *holding, f *link.Frame) (n int) {
	w := c.w
	if of := int(binary.BigEndian.Uint32(f.Payload)); of != c.index {
		w.fail("a message of client %d comes as one of client %d", of, c.index)
	}
	n = int(binary.BigEndian.Uint32(f.Payload[4:]))
	if l.k.ended {
		return n // it comes late
	}
	switch again := c.on[n] != nil; {
	case c.isKeptOut() && !h.isNew:
		w.fail("client %d was not let in, and a worker gets its message %d", c.index, n)
	case n <= h.last:
		w.fail("client %d: message %d comes behind %d", c.index, n, h.last)
	case c.applied[n]:
		w.fail("client %d: message %d comes although it has been acknowledged", c.index, n)
	case again && !f.Has(link.FlagRedelivered):
		w.fail("client %d: message %d comes again and is not marked", c.index, n)
	case !again && f.Has(link.FlagRedelivered) && w.stats().Redelivered == 0:
		w.fail("client %d: message %d is marked as one that comes again", c.index, n)
	case again && c.numbers[n] != h.number:
		w.fail("client %d: message %d was number %d and is now %d", c.index, n, c.numbers[n], h.number)
	}
	if other, taken := c.messages[h.number]; taken && other != n {
		w.fail("client %d: message %d has number %d, which is that of message %d", c.index, n, h.number, other)
	}
	if w.refusals() == 0 {
		for older := range n {
			if !c.applied[older] && c.on[older] != h {
				w.fail("client %d: message %d comes before message %d, which nobody has acknowledged", c.index, n, older)
			}
		}
	}
	c.numbers[n], c.messages[h.number], c.on[n], h.last = h.number, n, h, n
	h.messages = append(h.messages, n)
	return n
}

// told checks the DETACH that a worker receives.
func (c *simClient) told(l *simLink, f *link.Frame) {
	if !l.k.ended && !f.Has(link.FlagMoved) && (!c.left && !c.w.gates[c.gate].draining && !c.isKeptOut() ||
		c.applied[gone]) {
		c.w.fail("client %d is said to be gone", c.index)
	}
}

// apply notes that the gateway has accepted the acknowledgement of an event.
func (c *simClient) apply(n int) {
	if c.applied[n] {
		c.w.fail("client %d: event %d is acknowledged twice", c.index, n)
	}
	c.applied[n] = true
	if n >= 0 {
		if c.bidden {
			c.w.fail("client %d: message %d is handled although it has been told to go", c.index, n)
		}
		if n < c.last {
			c.w.fail("client %d: message %d is acknowledged behind %d", c.index, n, c.last)
		}
		c.last = n
	}
}
