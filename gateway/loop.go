package gateway

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
)

// loop is everything that belongs to one event loop. Other goroutines use only its inbox,
// hasWorkers and lastStats.
type loop struct {
	// Static after New.
	g     *Gateway
	el    *engine.Loop
	index uint8
	drain func()    // the method drainInbox, bound once so that a post does not allocate
	began time.Time // the zero of the book's clock

	hasWorkers atomic.Bool              // a worker of the loop takes clients; the loop sets it when that changes
	lastStats  atomic.Pointer[snapshot] // the last figures; the loop sets them when it is asked

	// Owned by the loop.
	sessions    []*session // by slot; nil: free; bound: clients, per loop
	free        []uint32   // freed slots, used again from the end; bound: clients, per loop
	members     *registry.Registry
	pool        pool
	links       map[uint32]*workerLink // by serial; bound: links that have proved
	serials     uint32                 // counts links and gathers
	gathers     map[uint32]*gather     // by serial; bound: questions that wait for another loop
	gatherBytes int                    // size of gathers, in bytes
	peers       map[uint32]*peer       // other gateways, by id; bound: gateways that a loop knows
	inLinks     map[uint32]*inLink     // links from other gateways, by serial; bound: links that have proved
	arrivals    map[loopKey]*arrival   // by loop of another gateway; bound: what a loop remembers
	resends     []*peer                // those that claims are sent to again; bound: gateways that a loop knows
	resendTimer engine.Timer           // runs while resends is not empty
	lastBind    uint64                 // time of the newest binding that was made here or received
	// clockOffset is how far the clock of bindings is ahead of this machine's, in nanoseconds. The
	// clock of bindings follows the gateway whose clock is furthest ahead.
	clockOffset uint64
	deadlines   []*session // clients with an incomplete message or without their first one; bound: lists of clients
	partial     int        // bytes held of incomplete messages
	book        delivery.Book
	trialPause  engine.Timer // runs after the failed trial of a client
	// stalled are the clients that are not read because the queues or their link's credit are full,
	// oldest first.
	stalled       []*session // bound: lists of clients
	takeoverBytes int        // bytes reserved for clients with context takeover
	// ackedBytes is how many bytes a client had acknowledged at its last heartbeat. It has those
	// clients that are closed at the next heartbeat unless they respond.
	ackedBytes   map[*session]uint64 // by client; bound: lists of clients
	turns        turns
	sampler      sampler
	upgrades     upgrades
	questions    questions
	known        knownClients // those with an identity that may change; bound: lists of clients
	invocations  invocations
	reports      reports
	seconds      uint32 // ticks, from 1
	uptime       uint32 // seconds since the gateway's start, set at each tick
	tick         engine.Timer
	tokens       *rand.ChaCha8
	fan          fanout
	out          []byte   // scratch: control replies of codecs
	rows         []byte   // scratch: replies; bound: an answer
	ids          []uint32 // scratch: gateways of a message to clients; bound: none, of one command
	stats        LoopStats
	access       accessLog
	closes       [link.ReasonExpired + 1]uint64 // connections, by reason
	closingConns int                            // connections of clients that the gateway has closed
	linked       int                            // connections of workers and other gateways
	closedBelow  int                            // closeSome has handled the lower slots
	draining     bool                           // the gateway closes down: no new clients
	rebalance    rebalance
	adopts       adoptPace
	drainPort    uint16      // the port for links while this gateway drains; 0: the worker port
	predecessor  predecessor // the gateway that still drains; zero: none
	narrow       *narrowing  // static; nil: no directory
	contender    *contender  // static; nil: no directory

	inbox inbox
}

// tickEvery is the interval at which a loop checks its timeouts.
const tickEvery = time.Second

func newLoop(g *Gateway, el *engine.Loop, index uint8) *loop {
	var seed [32]byte
	readRandom(seed[:])
	l := &loop{
		g: g, el: el, index: index,
		members: registry.New(registry.Limits{Groups: g.cfg.MaxGroups, GroupBytes: g.cfg.MaxGroupBytes}),
		links:   make(map[uint32]*workerLink),
		gathers: make(map[uint32]*gather),
		peers:   make(map[uint32]*peer), inLinks: make(map[uint32]*inLink), arrivals: make(map[loopKey]*arrival),
		ackedBytes: make(map[*session]uint64), known: make(knownClients),
		tokens:  rand.NewChaCha8(seed),
		access:  newAccessLog(&g.cfg),
		seconds: 1,
	}
	l.began = time.Now()
	l.book.Init((*deliveryHost)(l), deliveryLimits(&g.cfg))
	l.pool.router = g.cfg.Router()
	l.drain = l.drainInbox
	l.fan.init(l)
	l.tick.Target = l
	l.trialPause.Target = (*trialPause)(l)
	l.adopts.loop, l.adopts.timer.Target = l, &l.adopts
	l.resendTimer.Target = (*claimResender)(l)
	if g.interest != nil {
		l.narrow = newNarrowing(l, g.interest)
		l.contender = newContender(l, g.arbiter)
	}
	return l
}

// OnTimer is the loop's tick. It checks timeouts and gives memory back.
func (l *loop) OnTimer(*engine.Timer) {
	l.el.Schedule(&l.tick, tickEvery)
	l.seconds++
	l.uptime = uint32(l.el.Now().Sub(l.g.started) / time.Second)
	l.drainInbox()
	l.inbox.trim()
	l.cutOverdue()
	l.expireGathers()
	l.resumeStalled(nil) // stalled clients check again for credit, whose release they may not have noticed
	l.book.Tick()
	l.rebalance.move(l)
	l.tickPeers()
	l.forgetArrivals()
	if l.narrow != nil {
		l.narrow.tick()
	}
	if l.contender != nil {
		l.contender.tick()
	}
}

// open assigns a slot, a token and an id to the session.
func (l *loop) open(s *session) {
	if n := len(l.free); n > 0 {
		s.delivery.Slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		s.delivery.Slot = uint32(len(l.sessions))
		l.sessions = append(l.sessions, nil)
	}
	l.sessions[s.delivery.Slot] = s
	s.since = l.uptime
	s.delivery.Note = l.uptime
	s.member.ID = link.MakeClientID(l.g.cfg.ID, l.index, s.delivery.Slot, l.tokens.Uint64())
}

// session returns the session that a frame names, or nil if that client has gone.
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

// slotsFull reports whether no slot is left.
func (l *loop) slotsFull() bool { return len(l.free) == 0 && len(l.sessions) >= link.MaxSlots }

// reply sends a reply on a link of this loop. It does nothing if the link has ended.
func (l *loop) reply(serial uint32, f *link.Frame) {
	if k := l.links[serial]; k != nil {
		k.send(f)
	}
}

// answer sends the reply to a command to the link or the gather that sent it.
func (l *loop) answer(o origin, f *link.Frame) {
	f.Type = link.Reply
	// Replies are smaller than that. But if one were not, it would end the link, and again with
	// each redelivery.
	if len(f.Payload) > link.MaxMessage {
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

// status replies with a status alone, if the command asks for a result.
func (l *loop) status(o origin, f *link.Frame, status link.Status) {
	if f.Has(link.FlagResult) {
		l.answer(o, &link.Frame{ID: f.ID, Code: uint16(status)})
	}
}
