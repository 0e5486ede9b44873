package bench

import (
	"math/rand/v2"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
)

// Mode chat is people in rooms who do what the package comment says. In a closed loop a person thinks after each answer, for a time that is exponentially distributed
// around Options.Think; in an open loop the next who is free does what is due.
//
// The audit is exact although people come and go. Who wants to leave or to hang up first waits for everything that had been said by the time of the decision: that has to
// arrive. Who comes back has to get everything that is said after the answer to its join (its login, for private messages). What was said in between may arrive or not, but
// without a gap. Nothing may arrive from a room that has answered the leave. All people of a room are in one shard, which therefore knows who has said how much.
//
// It does not drive the chat of package chat, whose limits of rates are made against such a load, but the bench's Worker.

// Of a hundred things that people do. The rest is said to the room.
const (
	whispersOf   = 10
	leavesOf     = 4
	reconnectsOf = 1
)

// ActionCounts are how often each thing was done in mode chat.
type ActionCounts struct {
	Said, Whispered, Left, Reconnected uint64
}

// presence is where a person stands.
type presence uint8

const (
	offline   presence = iota // until the login is answered
	joining                   // has asked to come in
	present                   // in the room
	leaving                   // wants to leave, and waits for what was said before
	hangingUp                 // wants to hang up, and waits for what was said before
	left                      // has asked to leave
	away                      // out of the room
)

// chatRoom is the people of a room, all in one shard.
type chatRoom []*client

// A person is what a client is besides, in mode chat. It belongs to the client's loop.
type person struct {
	client    *client
	room      chatRoom
	place     presence
	think     engine.Timer
	waits     int     // accounts that have not reached their mark
	whispered uint32  // private messages; also the next sequence
	whispers  account // of the one before in the room
	copies    account // of its own private messages
}

// neighbours are who whispers to p, and to whom p whispers; p itself where it is alone.
func (p *person) neighbours() (before, after *client) {
	n := len(p.room)
	i := int(p.client.id - p.client.from)
	return p.room[(i+n-1)%n], p.room[(i+1)%n]
}

// OnTimer implements engine.Expirer: the thinking is over.
func (p *person) OnTimer(*engine.Timer) {
	l := p.client.shard
	l.tick()
	if l.running && p.free() {
		p.act(l.now)
	}
}

// rest has p think, in a closed loop, and then do something.
func (p *person) rest() {
	l := p.client.shard
	if l.opts.Rate > 0 || !l.running {
		return
	}
	const longest = 5 // times the average
	d := min(l.rand.ExpFloat64(), longest)
	l.loop.Schedule(&p.think, time.Duration(d*float64(l.opts.Think)))
}

// free tells whether p can do something.
func (p *person) free() bool {
	return (p.place == present || p.place == away) && !p.client.conn.Closed()
}

// act has p do something, which was due at the time given.
func (p *person) act(due int64) {
	l := p.client.shard
	l.Sent++
	if p.place == away {
		p.place = joining
		p.client.command(verbJoin, p.client.target)
		return
	}
	switch n := l.rand.IntN(100); {
	case n < reconnectsOf:
		l.Actions.Reconnected++
		p.depart(hangingUp)
	case n < reconnectsOf+leavesOf:
		l.Actions.Left++
		p.depart(leaving)
	case n < reconnectsOf+leavesOf+whispersOf && len(p.room) > 1:
		l.Actions.Whispered++
		_, to := p.neighbours()
		p.whispered++
		p.client.speak(verbWhisper, &to.name, p.whispered-1, due)
	default:
		l.Actions.Said++
		seq := p.client.sent.Load()
		p.client.sent.Store(seq + 1)
		p.client.speak(verbRoom, &p.client.target, seq, due)
	}
}

// depart has p leave or hang up as soon as everything has arrived that was said so far.
func (p *person) depart(how presence) {
	p.place, p.waits = how, 0
	wait := func(a *account, sent uint32) {
		if a.await(sent) {
			p.waits++
		}
	}
	for i, mate := range p.room {
		wait(&p.client.accounts[i], mate.sent.Load())
	}
	if how == hangingUp {
		before, _ := p.neighbours()
		wait(&p.whispers, before.person.whispered)
		wait(&p.copies, p.whispered)
	}
	if p.waits == 0 {
		p.part()
	}
}

// part leaves or hangs up.
func (p *person) part() {
	if p.place == leaving {
		p.place = left
		p.client.command(verbLeave, p.client.target)
		return
	}
	p.place = offline
	p.client.over = true
	p.client.conn.Close(errBye)
}

// answered takes in that the server has done what a command said, if message m tells so.
func (p *person) answered(m []byte) bool {
	c := p.client
	switch l := c.shard; {
	case p.place == offline && l.answers(m, verbLogin, c.name):
		before, _ := p.neighbours()
		p.whispers.resume(before.person.whispered)
		p.copies.resume(p.whispered)
		p.place = joining
		c.command(verbJoin, c.target)
	case p.place == joining && l.answers(m, verbJoin, c.target):
		for i, mate := range p.room {
			c.accounts[i].resume(mate.sent.Load())
		}
		p.place = present
		if !c.ready {
			c.begin()
		}
		p.rest()
	case p.place == left && l.answers(m, verbLeave, c.target):
		p.place = away
		p.rest()
	default:
		return false
	}
	return true
}

// heard tells whether a message with that verb can be for a person. Of another nobody knows which account it belongs to.
func heard(verb byte) bool { return verb == verbRoom || verb == verbWhisper }

// heard enters message m.
func (p *person) heard(m []byte, s stamp) {
	c, l := p.client, p.client.shard
	verb := m[l.layout.quote]
	a, sent, target := p.account(verb, s.stream)
	if a == nil {
		l.audit.Unexpected++
		return
	}
	behind := a.next < a.mark
	fresh, _ := a.arrived(s.seq, sent, &l.audit)
	switch {
	case !fresh:
		return
	case c.mistyped || !l.intact(m, verb, target):
		l.changed(m)
	default:
		l.count(s.since(l.now))
	}
	switch {
	case p.place == leaving || p.place == hangingUp:
		if behind && a.next >= a.mark {
			if p.waits--; p.waits == 0 {
				p.part()
			}
		}
	case s.stream == c.id:
		p.rest() // that was the answer
	}
}

// account is the one that a message is entered in, with how many were sent of them and to whom; nil if it should not have come.
func (p *person) account(verb byte, stream uint32) (a *account, sent uint32, target *[targetLen]byte) {
	c := p.client
	before, after := p.neighbours()
	i := stream - c.from
	switch {
	case verb == verbRoom && i < uint32(len(c.accounts)) && p.place >= present && p.place <= left:
		return &c.accounts[i], p.room[i].sent.Load(), &c.target
	case verb == verbWhisper && p.place != offline && stream == c.id:
		return &p.copies, p.whispered, &after.name
	case verb == verbWhisper && p.place != offline && stream == before.id:
		return &p.whispers, before.person.whispered, &c.name
	}
	return nil, 0, nil
}

// close enters what p should have received into the audit.
func (p *person) close(audit *Audit) {
	enter := func(a account, sent uint32, there bool) {
		if !there {
			a.resume(sent)
		}
		a.close(sent, audit)
	}
	for i, mate := range p.room {
		enter(p.client.accounts[i], mate.sent.Load(), p.place >= present && p.place < left)
	}
	before, _ := p.neighbours()
	if len(p.room) > 1 {
		enter(p.whispers, before.person.whispered, p.place != offline)
		enter(p.copies, p.whispered, p.place != offline)
	}
	if p.place == offline || p.place == joining || p.place == left {
		audit.Unanswered++
	}
}

// settle gives each client of mode chat, all of the generator in their order, its part as a person and its room.
func settle(clients []*client) {
	for len(clients) > 0 {
		room := chatRoom(clients[:len(clients[0].accounts)])
		for _, c := range room {
			c.person = &person{client: c, room: room}
			c.person.think.Target = c.person
		}
		clients = clients[len(room):]
	}
}

// seeded is a shard's source of chance: the same in each run.
func seeded(shard int) *rand.Rand { return rand.New(rand.NewPCG(uint64(shard), 0)) }
