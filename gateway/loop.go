package gateway

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
)

// loop is a small gateway of its own: everything that belongs to one event loop. Only its inbox, served and told are touched from other goroutines.
type loop struct {
	// Static after New.
	g     *Gateway
	el    *engine.Loop
	index uint8
	drain func() // drainInbox, made once so that posting it costs no allocation

	maxDeparted, maxGone int // the constants; less in tests

	served   atomic.Bool              // it has a worker that takes clients; set by the loop when that changes
	answered atomic.Pointer[snapshot] // its last figures; set by the loop when it is asked

	// Owned by the loop.
	sessions     []*session // by slot; nil: free; bound: clients, per loop
	free         []uint32   // slots, the last freed is the first used; bound: clients, per loop
	members      *registry.Registry
	pool         pool
	links        map[uint32]*workerLink // by serial; bound: links that have proved
	serials      uint32                 // of links and gathers
	gathers      map[uint32]*gather     // bound: questions that wait for another loop
	pending      int                    // bytes that they count
	peers        map[uint32]*peer       // other gateways, by id; bound: gateways that a loop knows
	comers       map[uint32]*inLink     // of other gateways, by serial; bound: links that have proved
	arrivals     map[from]*arrival      // bound: what a loop remembers
	bound        uint64                 // the time of the last binding that was noted or heard of
	ahead        uint64                 // nanoseconds that the clock of bindings is ahead of this machine's: of gateways' clocks it is the one that is furthest ahead
	waiting      []*session             // that have something for a worker while none is there, oldest first; bound: lists of clients
	deadlines    []*session             // that have a message unfinished, or the first one to send; bound: lists of clients
	partial      int                    // bytes held of messages that have not come whole
	full         bool                   // too much waits in queues: more is decoded only of clients that send little, or whose worker has credit
	stalled      []*session             // that are not read until it does not, the one that has waited longest first; bound: lists of clients
	windows      int                    // bytes that may be kept for clients with context takeover
	taken        map[*session]uint64    // bytes that a client had taken, of those that are closed at their next heartbeat if they do not answer; bound: lists of clients
	turns        turns
	seconds      uint32 // ticks, from 1
	queues       queues
	trials       poisonTrials
	held         int // bytes in the sessions' queues that wait
	asking       int // clients that no worker has let in yet
	departed     int // clients that are gone, and no worker has acknowledged it
	tick         engine.Timer
	tokens       *rand.ChaCha8
	fan          fanout
	out          []byte // scratch: control replies of codecs
	rows         []byte // scratch: answers; bound: an answer
	stats        LoopStats
	ends         [link.ReasonRefused + 1]uint64 // of connections
	closingConns int                            // connections of clients that the gateway has closed
	linked       int                            // connections of workers
	closedBelow  int                            // slots below it have been told to go
	ending       bool                           // the gateway is closing down: nobody else gets in
	port         uint16                         // where it takes links, once a successor has the inner port
	before       predecessor                    // that drains still; zero: none

	inbox inbox
}

// tickEvery is how often a loop looks at what has waited too long.
const tickEvery = time.Second

func newLoop(g *Gateway, el *engine.Loop, index uint8) *loop {
	var seed [32]byte
	readRandom(seed[:])
	l := &loop{
		g: g, el: el, index: index,
		members: registry.New(registry.Limits{Groups: g.cfg.MaxGroups, GroupBytes: g.cfg.MaxGroupBytes}),
		links:   make(map[uint32]*workerLink),
		gathers: make(map[uint32]*gather),
		peers:   make(map[uint32]*peer), comers: make(map[uint32]*inLink), arrivals: make(map[from]*arrival),
		taken:   make(map[*session]uint64),
		tokens:  rand.NewChaCha8(seed),
		seconds: 1, maxDeparted: maxDeparted, maxGone: maxGone,
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
	l.cutOverdue()
	l.expireGathers()
	l.resumeStalled(nil) // those that stalled look for credit that others may not leave half of
	l.waiting = l.expireHeld(l.waiting)
	l.trials.next = l.expireHeld(l.trials.next)
	l.trials.OnTimer(nil)
	l.queues.trim()
	l.tickPeers()
	l.forgetArrivals()
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
	if s.phase == phaseGone {
		l.departed--
	}
	s.phase, s.detachSent = phaseForgotten, false
	s.endTrial()
	s.queue = nil
	l.el.Cancel(&s.timer)
	if s.link != nil {
		if s.waiting {
			s.stopWaiting(s.link)
		}
		s.link.clients--
		s.link = nil
	}
	l.sessions[s.slot] = nil
	l.free = append(l.free, s.slot)
}

// session returns the session that a frame names, nil when that client is gone.
func (l *loop) session(slot uint32, token uint64) *session {
	if slot >= uint32(len(l.sessions)) {
		return nil
	}
	s := l.sessions[slot]
	if s == nil || s.token() != token {
		return nil
	}
	return s
}

// slotsFull reports whether no further client can get a slot.
func (l *loop) slotsFull() bool { return len(l.free) == 0 && len(l.sessions) >= link.MaxSlots }

// reply sends an answer down a link of this loop; a link that has ended hears nothing.
func (l *loop) reply(serial uint32, f *link.Frame) {
	if k := l.links[serial]; k != nil {
		k.send(f)
	}
}

// answer sends the answer to a command to whoever asked.
func (l *loop) answer(o origin, f *link.Frame) {
	f.Type = link.Reply
	if len(f.Payload) > link.MaxMessage { // not so: what it tells of is bounded. But the link must not end by it, at each redelivery of the question again
		f.Code, f.Payload = uint16(link.Refused), nil
	}
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
