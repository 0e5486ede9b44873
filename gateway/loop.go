package gateway

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"sluice/engine"
	"sluice/internal/link"
	"sluice/internal/roster"
)

// loop is a small gateway of its own: everything that belongs to one event loop. Only its inbox and served are touched from other goroutines.
type loop struct {
	// Static after New.
	g     *Gateway
	el    *engine.Loop
	index uint8
	drain func() // drainInbox, made once so that posting it costs no allocation

	served atomic.Bool // it has a worker that takes clients; set by the loop when that changes

	// Owned by the loop.
	sessions []*session // by slot; nil: free
	free     []uint32   // slots, the last freed is the first used
	members  *roster.Roster
	pool     pool
	links    map[uint32]*workerLink // by serial
	serials  uint32                 // of links and gathers
	gathers  map[uint32]*gather
	waiting  []*session          // that have something for a worker while none is there, oldest first
	owing    []*session          // that have a message unfinished, or the first one to send
	partial  int                 // bytes held of messages that have not come whole
	full     bool                // too much waits in queues: more is decoded only of clients that send little, or whose worker has credit
	taken    map[*session]uint64 // bytes that a client had taken, of those that are closed at their next heartbeat if they do not answer
	stalled  []*session          // that are not read until it does not, the one that has waited longest first
	turns    turns
	seconds  uint32 // ticks, from 1
	queues   queues
	trials   trials
	done     done
	held     int // bytes in the sessions' queues that wait
	telling  int // clients that are gone, which their worker has not acknowledged
	tick     engine.Timer
	tokens   *rand.ChaCha8
	fan      fanout
	out      []byte // scratch: control replies of codecs
	rows     []byte // scratch: answers
	stats    LoopStats
	ends     [link.ReasonInternal + 1]uint64 // of connections
	leaving  int                             // connections of clients that the gateway has closed
	linked   int                             // connections of workers
	bidden   int                             // slots below it have been told to go
	ending   bool                            // the gateway is closing down: nobody else gets in
	port     uint16                          // where it takes links, once a successor has the inner port
	before   predecessor                     // that drains still; zero: none

	inbox inbox
}

// tickEvery is how often a loop looks at what has waited too long.
const tickEvery = time.Second

func newLoop(g *Gateway, el *engine.Loop, index uint8) *loop {
	var seed [32]byte
	readRandom(seed[:])
	l := &loop{
		g: g, el: el, index: index,
		members: roster.New(),
		links:   make(map[uint32]*workerLink),
		gathers: make(map[uint32]*gather),
		taken:   make(map[*session]uint64),
		tokens:  rand.NewChaCha8(seed),
		seconds: 1,
	}
	l.pool.router = g.cfg.Router()
	l.drain = l.drainInbox
	l.fan.init(l)
	l.tick.Target = l
	l.trials.pause.Target = &l.trials
	return l
}

// OnTimer is the loop's tick: it refuses what has waited too long for a worker.
func (l *loop) OnTimer(*engine.Timer) {
	l.el.Schedule(&l.tick, tickEvery)
	l.seconds++
	l.drainInbox()
	l.inbox.trim()
	l.dun()
	l.goOn(nil) // those that stalled look for credit that others may not leave half of
	l.waiting = l.expireHeld(l.waiting)
	l.trials.next = l.expireHeld(l.trials.next)
	l.trials.OnTimer(nil)
	l.queues.trim()
}

// open gives a session its slot, token and id.
func (l *loop) open(s *session) {
	if n := len(l.free); n > 0 {
		s.slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		s.slot = uint32(len(l.sessions))
		l.sessions = append(l.sessions, nil)
	}
	l.sessions[s.slot] = s
	s.member.ID = link.MakeClientID(l.g.cfg.ID, l.index, s.slot, l.tokens.Uint64())
}

// forget ends a session; its slot may be used again. Waiting lists drop it when they are walked next.
func (l *loop) forget(s *session) {
	s.phase = phaseForgotten
	if s.told {
		s.told = false
		l.telling--
	}
	s.quitTrial()
	s.queue = nil
	l.el.Cancel(&s.timer)
	if s.link != nil {
		s.link.clients--
		s.link = nil
	}
	l.sessions[s.slot] = nil
	l.free = append(l.free, s.slot)
}

// session returns the session that a frame names, nil when that client is gone.
func (l *loop) session(slot uint32, token uint64) *session {
	if int(slot) >= len(l.sessions) {
		return nil
	}
	s := l.sessions[slot]
	if s == nil || s.token() != token {
		return nil
	}
	return s
}

// maxSlots is what a client id has room for.
const maxSlots = 1 << 24

// crammed reports whether no further client can get a slot.
func (l *loop) crammed() bool { return len(l.free) == 0 && len(l.sessions) >= maxSlots }

// reply sends an answer down a link of this loop; a link that has ended hears nothing.
func (l *loop) reply(serial uint32, f *link.Frame) {
	if k := l.links[serial]; k != nil {
		k.send(f)
	}
}

// answer sends the answer to a command to whoever asked.
func (l *loop) answer(o origin, f *link.Frame) {
	f.Type = link.Reply
	to := noteAnswer
	if o.kind == notePart {
		to = noteSum
	}
	if o.loop != l.index {
		l.pass(o.loop, origin{o.loop, to, o.serial}, f, 0)
		return
	}
	l.note(origin{o.loop, to, o.serial}, f)
}

// status answers with a bare status, if the command asked for a result.
func (l *loop) status(o origin, f *link.Frame, status link.Status) {
	if f.Has(link.FlagResult) {
		l.answer(o, &link.Frame{ID: f.ID, Code: uint16(status)})
	}
}
