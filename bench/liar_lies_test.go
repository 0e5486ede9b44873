package bench_test

import (
	"bytes"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
)

// A lie is one fault that a liar causes.
type lie struct {
	name   string
	oneIn  int                         // of so many deliveries
	tell   func(*liar, *delivery) bool // makes a delivery go wrong; false: it could not
	adds   bench.Audit                 // what each adds to the audit; Received is counted as messages are written
	fails  int                         // failures in Report.Errors for each
	kind   string                      // of them, where there is one
	codec  []bench.Codec               // that it is for. Nil: all.
	modes  []bench.Mode                // likewise
	not    []bench.Mode                // that it is not for
	places bool                        // of a message: there is one for each
	cuts   bool                        // the connection ends with it: only its client knows what it had sent until then

	mute       int                  // of so many connections one is accepted, and receives nothing ever
	silent     byte                 // the command that is not answered, of somebody who has been in a room
	greeting   time.Duration        // before a WebSocket's handshake is answered
	accepted   func(*liar, *caller) // on its accepting goroutine, with each connection
	timed      bool                 // over WebSocket: when each answer was written, and its client had it
	pauseEvery time.Duration        // how often all stands still
	pause      time.Duration        // and how long
}

// messageSize is the size of all messages, in bytes.
const messageSize = 40

// least is how often a fault must occur in a run.
func (l *lie) least(m bench.Mode) int {
	switch {
	case l.tell == nil && l.mute == 0 && l.silent == 0:
		return 0
	case l.places && m == bench.Echo:
		return messageSize
	}
	return 1
}

// codecs returns those that the fault is for, in a mode.
func (l *lie) codecs(m bench.Mode) []bench.Codec {
	switch {
	case l.modes != nil && !slices.Contains(l.modes, m) || slices.Contains(l.not, m):
		return nil
	case l.codec != nil:
		return l.codec
	}
	return bench.Codecs
}

// lies are all faults in the messages of a load, and what a correct report counts for each.
var lies = []lie{
	{name: "nothing wrong"},
	{name: "dropped", oneIn: 6, tell: drop, adds: bench.Audit{Lost: 1}},
	{name: "doubled", oneIn: 6, tell: double, adds: bench.Audit{Duplicated: 1}},
	// A message that is held back is lost until the next one has arrived.
	{name: "exchanged with the next", oneIn: 6, tell: hold, not: []bench.Mode{bench.Connect}},
	{name: "a byte changed", oneIn: 2, tell: change, adds: bench.Audit{Changed: 1}, fails: 1, places: true},
	{
		name: "text for binary", oneIn: 6, tell: retype, adds: bench.Audit{Changed: 1}, fails: 1, kind: "changed",
		codec: []bench.Codec{bench.WebSocket},
	},
	{
		name: "a line break put in", oneIn: 20, tell: split, adds: bench.Audit{Changed: 1, Unexpected: 1}, fails: 2,
		kind: "unreadable", codec: []bench.Codec{bench.Text},
		modes: []bench.Mode{bench.Echo, bench.Connect, bench.Push, bench.Rooms},
	},
	// Two lines become one. One message is changed, and the other is lost.
	{
		name: "a line break taken out", oneIn: 1, tell: join, fails: 1, kind: "unreadable", codec: []bench.Codec{bench.Text},
		modes: []bench.Mode{bench.Echo, bench.Push, bench.Rooms},
	},
	{
		name: "brought to somebody else", oneIn: 6, tell: misdeliver, adds: bench.Audit{Lost: 1, Unexpected: 1},
		modes: []bench.Mode{bench.Echo},
	},
	{
		name: "garbage that nobody sent", oneIn: 6, tell: garbage, adds: bench.Audit{Unexpected: 1}, fails: 1,
		kind: "unreadable",
	},
	{name: "of a stream that does not exist", oneIn: 6, tell: stray, adds: bench.Audit{Unexpected: 1}},
	{name: "of a sequence that was never sent", oneIn: 6, tell: invent, adds: bench.Audit{Unexpected: 1}},
	{
		name: "of a sequence far beyond", oneIn: 6, tell: inventFar, adds: bench.Audit{Unexpected: 1},
		modes: []bench.Mode{bench.Push, bench.Rooms, bench.Broadcast},
	},
	{name: "answered for a while, then not", oneIn: 1, tell: fallSilent, adds: bench.Audit{Lost: 1}},
	{name: "the last byte never comes", oneIn: 20, tell: stick, adds: bench.Audit{Lost: 1}},
	{
		name: "closed in the middle", oneIn: 1, tell: hangUp, adds: bench.Audit{Lost: 1}, fails: 1, kind: "closed",
		cuts: true,
	},
	{
		name: "framing broken", oneIn: 20, tell: breakFrame, adds: bench.Audit{Lost: 1}, fails: 1, kind: "protocol",
		cuts: true, codec: []bench.Codec{bench.JSON, bench.JSONLines, bench.Frame, bench.WebSocket},
	},
	{name: "late", oneIn: 4, tell: delay},
	{name: "everything pauses", pauseEvery: 100 * time.Millisecond, pause: 50 * time.Millisecond},
	{name: "connections that are never answered", mute: 4, modes: []bench.Mode{bench.Connect, bench.Churn}},
}

func drop(_ *liar, d *delivery) bool {
	d.wire, d.count = nil, 0
	d.to.missing++
	return true
}

func double(_ *liar, d *delivery) bool {
	d.wire, d.count = append(d.wire, d.wire...), 2
	return true
}

// hold delays a message until the next of its stream goes to the same client.
func hold(_ *liar, d *delivery) bool {
	if _, ok := d.to.held[d.mark.stream]; ok {
		return false
	}
	if d.to.held == nil {
		d.to.held = make(map[uint32][]byte)
	}
	d.to.held[d.mark.stream] = d.wire
	d.wire, d.count = nil, 0
	return false // not yet
}

// change changes one byte, at each position in turn, to any value that the codec can carry.
func change(s *liar, d *delivery) bool {
	q := s.quote()
	m := slices.Clone(d.m)
	at := q + s.told%(len(m)-2*q)
	for m[at] == d.m[at] || s.codec == bench.Text && m[at] == '\n' ||
		q > 0 && (m[at] < ' ' || m[at] > '~' || m[at] == '"' || m[at] == '\\') {
		m[at] = byte(s.chance.Uint32())
	}
	d.wire = s.encode(d.to, m)
	return true
}

func retype(_ *liar, d *delivery) bool {
	d.wire = d.to.wire.Append(nil, d.m, true)
	return true
}

func split(s *liar, d *delivery) bool {
	d.wire[s.told%len(d.m)] = '\n'
	d.count = 2
	return true
}

func join(s *liar, d *delivery) bool {
	switch {
	case d.to.open:
		d.to.open = false
		s.told++
		s.did.Changed++
	case s.chance.IntN(20) == 0:
		d.to.open = true
		d.to.missing++
		d.wire[len(d.wire)-1], d.count = '#', 0
		s.did.Lost++
	}
	return false
}

func misdeliver(s *liar, d *delivery) bool {
	to := s.callers[s.chance.IntN(len(s.callers))]
	if to == d.to || to.ended {
		return false
	}
	s.put(to, parcel{b: d.wire})
	s.did.Received++
	return drop(s, d)
}

// before sends another message in front of the delivery.
func (d *delivery) before(s *liar, m []byte) bool {
	d.wire, d.count = append(s.encode(d.to, m), d.wire...), 2
	return true
}

func garbage(s *liar, d *delivery) bool {
	m := slices.Clone(d.m)
	copy(m[s.stampAt():], bytes.Repeat([]byte("!"), 16))
	return d.before(s, m)
}

func stray(s *liar, d *delivery) bool {
	return d.forge(s, mark{d.mark.stream | 1<<23, d.mark.seq, d.mark.at})
}

func invent(s *liar, d *delivery) bool {
	return d.forge(s, mark{d.mark.stream, d.mark.seq + 5000, d.mark.at})
}

func inventFar(s *liar, d *delivery) bool {
	return d.forge(s, mark{d.mark.stream, d.mark.seq + 1<<31, d.mark.at})
}

func (d *delivery) forge(s *liar, k mark) bool {
	m := slices.Clone(d.m)
	k.put(m[s.stampAt():])
	return d.before(s, m)
}

// answers is how many a client gets before the liar stops answering or disconnects. Where each
// client sends one message, some get none.
const answers = 3

func (s *liar) enough(p *caller) bool {
	return p.had > answers || s.mode == bench.Connect && s.chance.IntN(4) == 0
}

func fallSilent(s *liar, d *delivery) bool {
	d.to.gone = s.enough(d.to)
	return d.to.gone && drop(s, d)
}

func stick(s *liar, d *delivery) bool {
	d.to.gone = true
	d.wire, d.count = d.wire[:len(d.wire)-1], 0
	d.to.missing++
	return true
}

func hangUp(s *liar, d *delivery) bool {
	d.to.gone = s.enough(d.to)
	d.to.closed, d.fin = d.to.gone, d.to.gone
	return d.to.gone && drop(s, d)
}

func breakFrame(s *liar, d *delivery) bool {
	d.to.gone, d.to.closed = true, true
	drop(s, d)
	d.wire = map[bench.Codec][]byte{
		bench.JSON:      {0, 0, 0, 3}, // a length that is shorter than itself
		bench.Frame:     {0, 0, 0, 3},
		bench.JSONLines: []byte("\"\n"),
		bench.WebSocket: {0x83, 0}, // an opcode that is reserved (RFC 6455, section 5.2)
	}[s.codec]
	return true
}

func delay(s *liar, d *delivery) bool {
	d.at = time.Now().Add(time.Duration(s.chance.IntN(20)) * time.Millisecond)
	return true
}
