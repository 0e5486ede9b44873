package bench

import (
	"time"

	"github.com/seed-7410fe32/sluice/engine"
)

// Mode chat has users in rooms, as the package comment describes. In a closed loop a user thinks
// after each answer, for a time that is exponentially distributed around Options.Think. In an open
// loop the next user who is free does what is due.
//
// The audit is exact although users come and go. A user who decides to leave or to reconnect first
// waits for everything sent up to that decision; all of it must arrive. A user who returns must
// receive everything sent after the answer to its join (for private messages: to its login). What
// was sent in between may arrive or not, but without a gap. Nothing may arrive from a room that has
// answered the leave. All users of a room are in one shard, which therefore knows what each has
// sent.
//
// The mode uses the bench's Worker, not the server of package chat, whose rate limits reject such a
// load.

// Of 100 actions. The rest are messages to the room.
const (
	whispersOf   = 10
	leavesOf     = 4
	reconnectsOf = 1
)

// ActionCounts are how often each action was done in mode Chat.
type ActionCounts struct {
	Said, Whispered, Left, Reconnected uint64
}

type userState uint8

const (
	offline      userState = iota // until the login is answered
	joining                       // has sent a join
	present                       // in the room
	leaving                       // waits for earlier messages, then leaves
	reconnecting                  // waits for earlier messages, then closes the connection
	left                          // has sent a leave
	away                          // outside the room
)

// A user is the state of a client in mode chat. The loop of the client owns it.
type user struct {
	client    *client
	room      []*client // all users of the room, in one shard
	state     userState
	timer     engine.Timer
	waits     int     // accounts that have not reached their mark
	whispered uint32  // private messages, and the next sequence number
	whispers  account // private messages of the neighbour before
	copies    account // copies of its own private messages
}

// neighbours are the users who whisper to u and to whom u whispers; u itself if it is alone.
func (u *user) neighbours() (before, after *client) {
	n := len(u.room)
	i := int(u.client.id - u.client.from)
	return u.room[(i+n-1)%n], u.room[(i+1)%n]
}

// OnTimer implements engine.TimerHandler: the user has thought.
func (u *user) OnTimer(*engine.Timer) {
	sh := u.client.shard
	sh.tick()
	if sh.running && u.free() {
		u.act(sh.now)
	}
}

func (u *user) think() {
	sh := u.client.shard
	if sh.opts.Rate > 0 || !sh.running {
		return
	}
	const longest = 5 // times the average
	d := min(sh.rand.ExpFloat64(), longest)
	sh.loop.Schedule(&u.timer, time.Duration(d*float64(sh.opts.Think)))
}

func (u *user) free() bool {
	return (u.state == present || u.state == away) && !u.client.conn.Closed()
}

// act does one action, which was due at the time given.
func (u *user) act(due int64) {
	c, sh := u.client, u.client.shard
	sh.Sent++
	if u.state == away {
		u.state = joining
		c.command(verbJoin, c.target)
		return
	}
	switch n := sh.rand.IntN(100); {
	case n < reconnectsOf:
		sh.Actions.Reconnected++
		u.depart(reconnecting)
	case n < reconnectsOf+leavesOf:
		sh.Actions.Left++
		u.depart(leaving)
	case n < reconnectsOf+leavesOf+whispersOf && len(u.room) > 1:
		sh.Actions.Whispered++
		_, to := u.neighbours()
		u.whispered++
		c.sendMessage(verbWhisper, &to.name, u.whispered-1, due)
	default:
		sh.Actions.Said++
		seq := c.sent.Load()
		c.sent.Store(seq + 1)
		c.sendMessage(verbRoom, &c.target, seq, due)
	}
}

// depart leaves or reconnects as soon as everything has arrived that was sent up to now.
func (u *user) depart(how userState) {
	u.state, u.waits = how, 0
	wait := func(a *account, sent uint32) {
		if a.await(sent) {
			u.waits++
		}
	}
	for i, mate := range u.room {
		wait(&u.client.accounts[i], mate.sent.Load())
	}
	if how == reconnecting {
		before, _ := u.neighbours()
		wait(&u.whispers, before.user.whispered)
		wait(&u.copies, u.whispered)
	}
	if u.waits == 0 {
		u.departNow()
	}
}

func (u *user) departNow() {
	if u.state == leaving {
		u.state = left
		u.client.command(verbLeave, u.client.target)
		return
	}
	u.state = offline
	u.client.over = true
	u.client.conn.Close(errDone)
}

// answered handles the answer to a command, if m is one.
func (u *user) answered(m []byte) bool {
	c := u.client
	switch sh := c.shard; {
	case u.state == offline && sh.answers(m, verbLogin, c.name):
		before, _ := u.neighbours()
		u.whispers.resume(before.user.whispered)
		u.copies.resume(u.whispered)
		u.state = joining
		c.command(verbJoin, c.target)
	case u.state == joining && sh.answers(m, verbJoin, c.target):
		for i, mate := range u.room {
			c.accounts[i].resume(mate.sent.Load())
		}
		u.state = present
		if !c.ready {
			c.begin()
		}
		u.think()
	case u.state == left && sh.answers(m, verbLeave, c.target):
		u.state = away
		u.think()
	default:
		return false
	}
	return true
}

// isChat reports whether a message with this verb has an account.
func isChat(verb byte) bool { return verb == verbRoom || verb == verbWhisper }

func (u *user) received(m []byte, s stamp) {
	c, sh := u.client, u.client.shard
	verb := m[sh.layout.quote]
	a, sent, target := u.account(verb, s.stream)
	if a == nil {
		sh.audit.Unexpected++
		return
	}
	behind := a.next < a.mark
	fresh, _ := a.arrived(s.seq, sent, &sh.audit)
	switch {
	case !fresh:
		return
	case c.mistyped || !sh.intact(m, verb, target):
		sh.changed(m)
	default:
		sh.count(s.since(sh.now))
	}
	switch {
	case u.state == leaving || u.state == reconnecting:
		if behind && a.next >= a.mark {
			if u.waits--; u.waits == 0 {
				u.departNow()
			}
		}
	case s.stream == c.id:
		u.think() // this was the answer
	}
}

// account returns the account of a message, how many were sent, and their target;
// nil if the message must not arrive.
func (u *user) account(verb byte, stream uint32) (a *account, sent uint32, target *[targetLen]byte) {
	c := u.client
	before, after := u.neighbours()
	i := stream - c.from
	switch {
	case verb == verbRoom && i < uint32(len(c.accounts)) && u.state >= present && u.state <= left:
		return &c.accounts[i], u.room[i].sent.Load(), &c.target
	case verb == verbWhisper && u.state != offline && stream == c.id:
		return &u.copies, u.whispered, &after.name
	case verb == verbWhisper && u.state != offline && stream == before.id:
		return &u.whispers, before.user.whispered, &c.name
	}
	return nil, 0, nil
}

// close enters what the user should have received into the audit.
func (u *user) close(audit *Audit) {
	enter := func(a account, sent uint32, there bool) {
		if !there {
			a.resume(sent)
		}
		a.close(sent, audit)
	}
	for i, mate := range u.room {
		enter(u.client.accounts[i], mate.sent.Load(), u.state >= present && u.state < left)
	}
	if before, _ := u.neighbours(); len(u.room) > 1 {
		enter(u.whispers, before.user.whispered, u.state != offline)
		enter(u.copies, u.whispered, u.state != offline)
	}
	if u.state == offline || u.state == joining || u.state == left {
		audit.Unanswered++
	}
}

// fillRooms makes the clients of a generator users, and gives each its room.
func fillRooms(clients []*client) {
	for len(clients) > 0 {
		room := clients[:len(clients[0].accounts)]
		for _, c := range room {
			c.user = &user{client: c, room: room}
			c.user.timer.Target = c.user
		}
		clients = clients[len(room):]
	}
}
