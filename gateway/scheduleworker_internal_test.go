package gateway

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// simWorker is a worker of a schedule. It follows SPEC.md, as late and in as many pieces as the
// schedule says.
type simWorker struct {
	w        *world
	id       byte
	links    []*simLink // all links it ever had
	draining bool
}

// simLink is the worker's end of a link.
type simLink struct {
	worker     *simWorker
	gate, loop int
	peer       *enginetest.Peer
	k          *workerLink         // the gateway's end
	over       bool                // for the worker
	in         []byte              // received, not a complete frame yet
	out        []byte              // written, not on the wire yet
	held       map[uint32]*holding // by slot
	given      map[uint64]*holding // by token
	events     []event             // received and not handled
	unit       simUnit
	told       bool // the gateway knows of the drain
	garbled    bool // what comes after it is not read
}

// holding is a client that a link has.
type holding struct {
	client *simClient
	slot   uint32
	token  uint64
	number uint32
	last   int // the last message received

	isNew    bool   // no worker had handled its connect event
	moved    bool   // it has gone to another worker
	applied  bool   // its ATTACH was acknowledged
	done     uint32 // number of the last message that was acknowledged
	messages []int  // produced and not applied
}

// simUnit is the unit of one client that is not written yet.
type simUnit struct {
	of     *holding // nil: there is none
	number uint32
	left   bool
	acks   bool // it acknowledges something
	frames int
	own    bool // the only frame is a SEND to the client itself
	body   []byte
}

type event struct {
	number uint32
	of     *holding
	n      int  // the message, or connect or gone
	moved  bool // the client has gone to another worker
	seen   bool // the worker adopts the client
}

// Events other than messages.
const (
	connect = -1
	gone    = -2
	adopted = -3
)

const window = 1500

func (w *world) addWorker() {
	v := &simWorker{w: w, id: byte(len(w.workers) + 1)}
	w.workers = append(w.workers, v)
	v.reopen()
}

// reopen opens a link to each loop, in addition to the present ones.
func (v *simWorker) reopen() {
	v.draining = false
	for gate := range v.w.gates {
		for loop := range v.w.loops {
			v.dial(gate, loop)
		}
	}
}

func (v *simWorker) dial(gate, loop int) {
	g := v.w.gates[gate]

	k := newWorkerLink(g.g.loops[loop], link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: window,
		ID: [16]byte{v.id}, Name: "w"})
	if v.w.rng.IntN(2) == 0 {
		k.delivery.Share = 1 + v.w.rng.IntN(400)
	}
	l := &simLink{worker: v, gate: gate, loop: loop, k: k, held: map[uint32]*holding{}, given: map[uint64]*holding{}}
	acknowledge := k.ack
	k.ack = func(s *session, n uint32, left bool) {
		v.w.applied(l, s, n, left)
		acknowledge(s, n, left)
	}
	l.peer = g.sim.Open(loop, netip.AddrPort{}, k,
		engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 1 << 20, Retain: true})
	v.links = append(v.links, l)
	v.w.links = append(v.w.links, l)
}

// open are the links that are open, as far as the worker knows.
func (v *simWorker) open() (up []*simLink) {
	for _, l := range v.links {
		if !l.over && !l.k.ended {
			up = append(up, l)
		}
	}
	return up
}

// die is a SIGKILL: a part of what was written is on the wire.
func (v *simWorker) die() {
	for _, l := range v.links {
		if !l.over {
			l.flush(v.w.rng.IntN(len(l.out) + 1))
			l.end()
			if v.w.rng.IntN(2) == 0 {
				l.peer.HangUp()
			} else {
				l.peer.Break() // a write of the gateway notices the end before a read does
			}
			v.w.seen.Deaths++
		}
	}
}

// drain asks for no new clients.
func (v *simWorker) drain() {
	if v.draining {
		return
	}
	v.draining = true
	v.w.seen.Drains++
	for _, l := range v.open() {
		l.write(&link.Frame{Type: link.Drain})
		l.write(&link.Frame{Type: link.Ping, ID: drainPing})
	}
}

// drainPing is the id of the PING after a DRAIN.
const drainPing = 7

// leaveIfDrained ends links that have no clients any more with a GOAWAY.
func (v *simWorker) leaveIfDrained() {
	for _, l := range v.open() {
		if v.draining && l.told && len(l.held) == 0 {
			l.write(&link.Frame{Type: link.GoAway, Code: uint16(link.Draining)})
			l.flush(len(l.out))
			l.end()
			l.peer.HangUp()
		}
	}
}

func (l *simLink) end() {
	l.over = true
	l.out, l.events = nil, nil
}

// cut breaks the link: what has not arrived is lost.
func (l *simLink) cut() {
	if !l.over {
		l.end()
		l.peer.Reset()
		l.worker.w.seen.Cuts++
	}
}

// garble sends an invalid frame. The gateway ends the link.
func (l *simLink) garble() {
	if l.over {
		return
	}
	l.flush(len(l.out))
	b := link.Append(nil, &link.Frame{Type: 99})
	if l.worker.w.rng.IntN(2) == 0 {
		binary.BigEndian.PutUint32(b, uint32(l.worker.w.rng.IntN(link.HeaderSize)))
	}
	l.peer.Send(b)
	l.garbled = true
	l.worker.w.seen.Garbled++
}

// write appends a frame to the output. A dead worker writes nothing.
func (l *simLink) write(f *link.Frame) {
	if !l.over {
		l.out = link.Append(l.out, f)
	}
}

// flush puts up to n of the written bytes on the wire.
func (l *simLink) flush(n int) {
	if n = min(n, len(l.out)); n > 0 {
		l.worker.w.note(l.out[:n])
		l.peer.Send(l.out[:n])
		l.out = slices.Clone(l.out[n:])
	}
}

// receive reads what has come.
func (l *simLink) receive() {
	w := l.worker.w
	b := l.peer.Take()
	if l.over {
		return // it is not read
	}
	w.note(b)
	l.in = append(l.in, b...)
	for {
		var f link.Frame
		n, err := link.Next(l.in, link.MaxFrame, &f)
		if err != nil {
			w.fail("a worker gets what is no frame")
		}
		if n == 0 {
			break
		}
		l.frame(&f)
		l.in = l.in[n:]
	}
	if l.peer.Closed() {
		l.end()
	}
}

func (l *simLink) frame(f *link.Frame) {
	if l.told && (f.Type == link.Attach || f.Type == link.Message) {
		l.worker.w.fail("a worker that drains gets something new")
	}
	switch f.Type {
	case link.Attach:
		l.attach(f)
	case link.Message:
		h := l.holding(f)
		if h.number++; f.ID != h.number {
			l.worker.w.fail("message %d where %d is due", f.ID, h.number)
		}
		n := h.client.delivered(l, h, f)
		l.events = append(l.events, event{number: f.ID, of: h, n: n})
	case link.Detach:
		h := l.holding(f)
		delete(l.held, f.Slot)
		h.client.told(l, f)
		h.moved = f.Has(link.FlagMoved)
		l.events = append(l.events, event{number: f.ID, of: h, n: gone, moved: h.moved})
	case link.Ping:
		l.write(&link.Frame{Type: link.Pong, ID: f.ID})
	case link.Pong:
		l.told = l.told || f.ID == drainPing
	}
}

func (l *simLink) attach(f *link.Frame) {
	w := l.worker.w
	r := link.Read(f.Payload)
	a := r.Attachment()
	if r.Bad() {
		w.fail("an attachment that is none")
	}
	c := w.clientAt(a.Remote)
	if l.held[f.Slot] != nil {
		w.fail("client %d is given a slot that client %d still has", c.index, l.held[f.Slot].client.index)
	}
	c.attached(l, f)
	h := &holding{client: c, slot: f.Slot, token: f.Token, number: f.ID, done: f.ID, last: -1, isNew: f.Has(link.FlagNew)}
	l.held[f.Slot], l.given[f.Token] = h, h
	l.events = append(l.events, event{number: f.ID, of: h, n: connect, seen: !f.Has(link.FlagNew)})
}

func (l *simLink) holding(f *link.Frame) *holding {
	h := l.held[f.Slot]
	if h == nil || h.token != f.Token {
		l.worker.w.fail("a frame of type %v about no client", f.Type)
	}
	return h
}

// handle calls the handler for the first event of some client.
func (l *simLink) handle() {
	w := l.worker.w
	if l.over || len(l.events) == 0 {
		return
	}
	of := l.events[w.rng.IntN(len(l.events))].of
	i := slices.IndexFunc(l.events, func(e event) bool { return e.of == of })
	e := l.events[i]
	l.events = slices.Delete(l.events, i, i+1)
	if !l.begin(e) {
		return // it has killed the worker
	}
	if !e.moved {
		l.unit.number, l.unit.left, l.unit.acks = e.number, e.n == gone, true
	}
	if w.rng.IntN(3) > 0 {
		l.seal()
	}
	if n := len(l.events); n > 0 && w.rng.IntN(6) == 0 {
		of := l.events[w.rng.IntN(n)].of
		l.write(&link.Frame{Type: link.Blocked, Slot: of.slot, Token: of.token})
	}
}

// serve handles everything at once.
func (l *simLink) serve() {
	l.peer.Limit(1 << 20)
	l.receive()
	for len(l.events) > 0 && !l.over {
		l.handle()
	}
	l.seal()
	l.flush(len(l.out))
}

// begin runs the handler of an event. It reports false if that kills the worker.
func (l *simLink) begin(e event) bool {
	w := l.worker.w
	if l.unit.of != e.of {
		l.seal()
		l.unit.of = e.of
	}
	if e.seen && e.of.client.kills(adopted) {
		w.seen.FatalEvents++
		l.worker.die()
		return false
	}
	if e.moved || e.seen {
		return true
	}
	if e.of.client.unwelcome && e.n != gone {
		if e.n == connect {
			l.unit.add(&link.Frame{Type: link.Kick, Flags: link.FlagRefused, Code: uint16(l.loop),
				Slot: e.of.slot, Token: e.of.token})
		}
		return true
	}
	kills := e.of.client.kills(e.n)
	if e.n >= 0 {
		l.unit.add(e.of.client.send(effect{e.of.client.index, e.n, 0, e.of.client.index}))
	}
	for i, target := range e.of.client.targets(e.n) {
		if kills && w.rng.IntN(3) == 0 {
			break
		}
		l.affect(e, uint16(i), target)
	}
	if kills {
		w.seen.FatalEvents++
		l.worker.die()
	}
	return !kills
}

// affect sends something to another client, in the unit. It is relayed if the client is on another
// gateway.
func (l *simLink) affect(e event, index uint16, target *simClient) {
	f := target.send(effect{e.of.client.index, e.n, int(index) + 1, target.index})
	if target.gate != l.gate {
		f = &link.Frame{Type: link.Relay, Slot: uint32(target.gate + 1), Payload: link.Append(nil, f)}
	}
	l.unit.add(f)
}

// add adds an effect.
func (u *simUnit) add(f *link.Frame) {
	u.own = u.frames == 0 && f.Type == link.Send && f.Token == u.of.token
	u.frames++
	u.body = link.Append(u.body, f)
}

// seal ends the unit. If it is one answer to its client, that may acknowledge.
func (l *simLink) seal() {
	u := l.unit
	l.unit = simUnit{}
	switch {
	case u.of == nil || !u.acks:
	case u.own && !u.left && l.worker.w.rng.IntN(2) == 0:
		link.SetHandled(u.body, u.number)
		if !l.over {
			l.out = append(l.out, u.body...)
		}
	default:
		f := link.Frame{Type: link.Unit, ID: u.number, Slot: u.of.slot, Token: u.of.token, Payload: u.body}
		if u.left {
			f.Flags = link.FlagLeft
		}
		l.write(&f)
	}
}

// effect is something that a handler sent: the event of which client it belongs to, its number
// there, and its receiver.
type effect struct{ client, n, index, to int }
