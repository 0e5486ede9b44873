package engine

import (
	"context"
	"fmt"
	"iter"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Loop is one reactor: it owns its conns, their buffers and its timers.
type Loop struct {
	// Static after newLoop.
	engine  *Engine
	index   int
	reactor gnet.EventLoop
	wakeup  int // our end of the socket the loop wakes itself with
	poll    poller
	kernel  kernel

	// Owned by the loop.
	conns     []*Conn  // by slot, nil where free; bound: lists of clients
	free      []uint32 // bound: lists of clients
	count     int
	buffers   bufferPool
	timers    wheel
	written   int        // bytes since the last flush of dirty
	busy      bool       // inside a callback, a turn's end or a posted function
	armed     bool       // the end of the turn is arranged
	kicked    bool       // a byte to ourselves is under way
	dirty     []*Conn    // have bytes to flush at the end of the turn; bound: lists of clients
	blocked   []*Conn    // the kernel took no more of these; bound: lists of clients
	backlogs  []*backlog // for the next of them; bound: buffers kept for the next
	shared    []*Shared  // by id, less 1; bound: memory that broadcasts
	unsent    int        // bytes that wait for those, but for what has its own bound
	since     int64      // on the engine's clock: overloaded
	resumed   []*Conn    // have input to be offered again; bound: lists of clients
	yielded   yieldHeap  // have more input than they may be offered in one turn; bound: lists of clients
	yields    uint64     // so far
	again     uint64     // for which mark the one whose turn it is has yielded again
	ending    []ending   // OnClose due; bound: lists of clients
	batch     []func()   // taken from inbox
	batchAt   int        // next of batch to run
	hurrying  bool       // mirror of wantsHurry
	counters  LoopStats
	scheduled time.Time // when it last came by Go's scheduler

	load       atomic.Int32 // conns here and on their way
	overloaded atomic.Bool  // see Overloaded
	wakeAt     atomic.Int64 // the first tick at which a timer may be due
	wantsHurry atomic.Bool  // blocked conns wait

	mu      sync.Mutex
	inbox   []func() // Guarded by mu; bound: a loop's mailbox
	waiting int      // Guarded by mu. Functions of batch not run yet.
	mailed  bool     // Guarded by mu. A run for the mailbox is arranged.
	poked   bool     // Guarded by mu. A run for the pacemaker is arranged.
	ended   bool     // Guarded by mu.
	rejects uint64   // Guarded by mu.
}

func newLoop(e *Engine, index int) (*Loop, error) {
	l := &Loop{engine: e, index: index, kernel: system{}}
	l.timers.init(l)
	near, far, err := wakeupPair()
	if err != nil {
		return nil, err
	}
	// The client spreads by the number of conns, so the i-th goes to loop i.
	g, err := e.client.EnrollContext(far, l)
	if err != nil {
		closeWakeupPair(near)
		return nil, err
	}
	l.wakeup, l.reactor = near, g.EventLoop()
	for _, other := range e.loops {
		if other.reactor == l.reactor {
			closeWakeupPair(near)
			return nil, fmt.Errorf("loops %d and %d are one", other.index, index)
		}
	}
	l.poll = pollerOf(g)
	return l, nil
}

// Index tells the loop's place in Engine.Loops.
func (l *Loop) Index() int { return l.index }

// Conns walks all connections. Loop only; they may be closed on the way.
func (l *Loop) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for i := 0; i < len(l.conns); i++ { //nolint:intrange // yield may change the length
			if c := l.conns[i]; c != nil && !yield(c) {
				return
			}
		}
	}
}

// Now is the time to within one tick, at the price of a load.
func (l *Loop) Now() time.Time {
	return l.engine.start.Add(time.Duration(l.engine.clock.Load()))
}

// turnEnd is the Loop as gnet's Runnable, without an allocation per turn.
type turnEnd Loop

func (t *turnEnd) Run(context.Context) error {
	(*Loop)(t).run()
	return nil
}

// arm arranges the end of the turn. Loop only.
func (l *Loop) arm() {
	if !l.armed {
		l.armed = true
		l.execute()
	}
}

// execute has run called once. Only on the loop, or with mu held and not ended:
// gnet would write to a closed descriptor after the end.
func (l *Loop) execute() { _ = l.reactor.Execute(context.Background(), (*turnEnd)(l)) }

// run is the end of a turn: posted functions, timers, blocked conns, then those that
// have yielded, and only then resumed ones, whose work must not take all of a turn's
// room time and again; then everything that was written since the last one leaves.
func (l *Loop) run() {
	l.busy, l.armed = true, true
	l.counters.Turns++
	again := l.drainMailbox()
	tick := l.engine.clock.Load() / int64(l.engine.cfg.Tick)
	if l.timers.advance(tick) {
		again = true
	}
	l.buffers.trim(tick)
	l.checkBlocked()
	l.offerYielded()
	l.offerResumed()
	l.finish()
	l.written = 0
	crowded := len(l.dirty) >= crowd
	for len(l.dirty)+len(l.ending) > 0 {
		l.dirty = flushAll(l.dirty)
		l.finish()
	}
	l.busy, l.armed = false, false
	if again || len(l.resumed)+len(l.yielded) > 0 {
		l.wakeSelf()
	}
	if crowded {
		yield()
	}
	if now := time.Now(); now.Sub(l.scheduled) > slice {
		l.scheduled = now
		runtime.Gosched()
	}
}

// crowd is how many conns a turn writes to in a loop under load. After such a turn whoever waits for this processor goes first: the peers make more work
// meanwhile, and the next turn does it in one go instead of sleeping and being woken for a little at a time.
const crowd = 4

// slice is how long a loop that always has something to do goes on before it comes by Go's scheduler. After 10 ms without that the runtime's monitor would take its processor
// at a system call, and look what all are doing every 20 µs for a while: some 5 % of what a busy loop costs.
const slice = 4 * time.Millisecond

// endCallback ends a callback of gnet's: OnClose of what ended, then the output of all
// conns if it is more than the CPU's caches hold well.
func (l *Loop) endCallback() {
	l.finish()
	if l.written >= turnFlush {
		l.written = 0
		l.dirty = flushAll(l.dirty)
		l.finish()
	}
	l.busy = false
}

// flushAll writes each conn of list once and returns the list, empty. Flushing
// calls no handler, so the list does not grow meanwhile.
func flushAll(list []*Conn) []*Conn {
	for i, c := range list {
		list[i] = nil
		c.dirty = false
		c.flush()
	}
	return list[:0]
}

// finish runs OnClose of the conns that ended, also of those that end meanwhile.
func (l *Loop) finish() {
	for i := 0; i < len(l.ending); i++ {
		e := l.ending[i]
		l.ending[i] = ending{}
		if e.former != nil {
			e.conn.callClose(e.former, e.reason)
			continue
		}
		e.conn.finish(e.reason)
	}
	l.ending = l.ending[:0]
}

// offerResumed offers each conn that has been resumed what it had left. Who is resumed meanwhile
// has its turn in the next one: one that always leaves something must not keep the loop.
func (l *Loop) offerResumed() {
	n := len(l.resumed)
	for i := range n {
		c := l.resumed[i]
		c.resumed = false
		c.offer()
		c.listen()
	}
	rest := copy(l.resumed, l.resumed[n:])
	clear(l.resumed[rest:])
	l.resumed = l.resumed[:rest]
}

// adopt gives c its place in the loop.
func (l *Loop) adopt(c *Conn, g gnet.Conn) {
	c.g, c.opened = g, true
	forgetAddresses(g)
	if n := len(l.free); n > 0 {
		c.slot = l.free[n-1]
		l.free = l.free[:n-1]
		l.conns[c.slot] = c
	} else {
		c.slot = uint32(len(l.conns))
		l.conns = append(l.conns, c)
	}
	l.count++
	l.counters.Opened++
}

// forgetAddresses empties the addresses that gnet keeps: a Conn has its peer's,
// and asks the kernel for its own. And gnet would put the memory of IPv6 zones,
// strings which others share, into a pool of buffers.
func forgetAddresses(g gnet.Conn) {
	for _, a := range []net.Addr{g.RemoteAddr(), g.LocalAddr()} {
		if t, ok := a.(*net.TCPAddr); ok {
			*t = net.TCPAddr{}
		}
	}
}

func (l *Loop) forgetConn(c *Conn) {
	l.conns[c.slot] = nil
	l.free = append(l.free, c.slot)
	l.count--
	l.counters.Closed++
	l.load.Add(-1)
}

// caught is deferred around every call of foreign code.
func (l *Loop) caught(what string) {
	if p := recover(); p != nil {
		l.report(what, p)
	}
}

func (l *Loop) report(what string, p any) {
	l.counters.Panics++
	l.engine.cfg.Logger.Error("engine: panic in "+what, "loop", l.index,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// end closes every conn with ErrStopped and lets nobody in any more.
func (l *Loop) end() {
	done := make(chan struct{})
	l.mu.Lock()
	l.ended = true
	_ = l.reactor.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		defer close(done)
		l.busy = true
		l.drainRest()
		for c := range l.Conns() {
			c.Close(ErrStopped)
		}
		l.finish()
		l.busy = false
		return nil
	}))
	l.mu.Unlock()
	<-done
}
