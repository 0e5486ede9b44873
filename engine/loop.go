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

// Loop is one event loop. It owns its conns, their buffers and its timers.
type Loop struct {
	// Static after newLoop.
	engine  *Engine
	index   int
	reactor gnet.EventLoop
	wakeup  int // our end of the socket pair by which the loop wakes itself
	poll    poller
	kernel  kernel

	// Owned by the loop.
	conns           []*Conn  // indexed by slot, nil where free; bound: lists of clients
	free            []uint32 // bound: lists of clients
	count           int
	buffers         bufferPool
	timers          wheel
	written         int        // bytes since the last flush of dirty
	busy            bool       // in a callback, in the end of a turn or in a posted function
	armed           bool       // the end of the turn is scheduled
	wakePending     bool       // a byte to the loop's own socket is on its way
	dirty           []*Conn    // have bytes to flush at the end of the turn; bound: lists of clients
	blocked         []*Conn    // conns whose output the kernel does not accept now; bound: lists of clients
	backlogs        []*backlog // reused for the next slow conns; bound: buffers kept for the next
	shared          []*Shared  // indexed by id - 1; bound: memory that broadcasts
	buffered        int        // bytes that wait for blocked conns, without those of ExcludeFromBudget
	overloadedSince int64      // the engine's clock when the loop became overloaded
	resumed         []*Conn    // have input to pass to OnData again; bound: lists of clients
	yielded         yieldHeap  // have more input than fits in one turn; bound: lists of clients
	yields          uint64     // number of Yields so far
	offering        *Conn      // its OnData runs in offerYielded
	yieldAt         uint64     // the argument of the last Yield in an OnData of offerYielded
	ending          []ending   // OnClose due; bound: lists of clients
	batch           []func()   // taken from inbox
	batchAt         int        // next of batch to run
	fastPolling     bool       // copy of wantsFast that only the loop uses
	counters        LoopStats
	sealed          []byte // output of TLS that is on its way to gnet; bound: none, emptied at once
	plain           []byte // memory for decrypted input, nil before the first TLS connection; bound: none, of fixed size
	tlsConns        int
	scheduled       time.Time // when the loop last called runtime.Gosched

	load       atomic.Int32 // conns of the loop and conns being registered with it
	overloaded atomic.Bool  // see Overloaded
	wakeAt     atomic.Int64 // the first tick at which a timer may be due
	wantsFast  atomic.Bool  // the loop has blocked conns

	mu           sync.Mutex
	inbox        []func() // Guarded by mu; bound: a loop's mailbox
	waiting      int      // Guarded by mu. Functions of batch that have not run.
	mailed       bool     // Guarded by mu. A run for the mailbox is scheduled.
	runRequested bool     // Guarded by mu. A run for the ticker is scheduled.
	ended        bool     // Guarded by mu.
	rejects      uint64   // Guarded by mu.
}

func newLoop(e *Engine, index int) (*Loop, error) {
	l := &Loop{engine: e, index: index, kernel: system{}}
	l.timers.init(l)
	near, far, err := wakeupPair()
	if err != nil {
		return nil, err
	}
	// gnet's client assigns a conn to the loop with the fewest, so the i-th conn goes to loop i.
	g, err := e.client.EnrollContext(far, l)
	if err != nil {
		closeWakeupPair(near)
		return nil, err
	}
	l.wakeup, l.reactor = near, g.EventLoop()
	for _, other := range e.loops {
		if other.reactor == l.reactor {
			closeWakeupPair(near)
			return nil, fmt.Errorf("gnet gave loops %d and %d the same event loop", other.index, index)
		}
	}
	l.poll = pollerOf(g)
	return l, nil
}

// Index returns the loop's index in Engine.Loops.
func (l *Loop) Index() int { return l.index }

// Conns iterates over all connections. They may be closed during the iteration. Loop only.
func (l *Loop) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for i := 0; i < len(l.conns); i++ { //nolint:intrange // yield may change the length
			if c := l.conns[i]; c != nil && !yield(c) {
				return
			}
		}
	}
}

// Now returns the time from a cached clock. It is at most one tick old.
func (l *Loop) Now() time.Time {
	return l.engine.start.Add(time.Duration(l.engine.clock.Load()))
}

// turnEnd is a Loop as a gnet.Runnable. The conversion avoids an allocation per turn.
type turnEnd Loop

func (t *turnEnd) Run(context.Context) error {
	(*Loop)(t).run()
	return nil
}

// arm schedules the end of the turn. Loop only.
func (l *Loop) arm() {
	if !l.armed {
		l.armed = true
		l.execute()
	}
}

// execute schedules one call of run. It must be called on the loop, or with mu held and ended
// false: after the end, gnet would write to a closed descriptor.
func (l *Loop) execute() { _ = l.reactor.Execute(context.Background(), (*turnEnd)(l)) }

// run is the end of a turn. It runs posted functions and timers, retries blocked conns, and offers
// input to the conns that have yielded. Resumed conns come after those, so that their work cannot
// use up the time of every turn. Finally it writes the output of the turn.
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
	l.runOnClose()
	l.written = 0
	crowded := len(l.dirty) >= busyTurn
	for len(l.dirty)+len(l.ending) > 0 {
		l.dirty = flushAll(l.dirty)
		l.runOnClose()
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

// busyTurn is the number of conns that a turn writes to in a loop under load. After such a turn the
// loop lets other threads on this processor run first. The peers produce more input meanwhile, and
// the next turn reads all of it at once, instead of sleeping and waking for a little at a time.
const busyTurn = 4

// slice is how long a busy loop runs before it calls Go's scheduler. After 10 ms without such a
// call, the runtime's monitor takes the loop's processor during a system call and polls every 20 us
// for a while. That costs about 5 % of the time of a busy loop.
const slice = 4 * time.Millisecond

// endCallback ends a callback of gnet. It calls OnClose for the conns that have ended. It also
// flushes all output if there is more of it than the CPU's caches hold well.
func (l *Loop) endCallback() {
	l.runOnClose()
	if l.written >= turnFlush {
		l.written = 0
		l.dirty = flushAll(l.dirty)
		l.runOnClose()
	}
	l.busy = false
}

// flushAll flushes each conn of list once and returns the empty list. Flushing calls no Handler, so
// the list does not grow meanwhile.
func flushAll(list []*Conn) []*Conn {
	for i, c := range list {
		list[i] = nil
		c.dirty = false
		c.flush()
	}
	return list[:0]
}

// runOnClose calls OnClose for the conns that have ended, and for those that end meanwhile.
func (l *Loop) runOnClose() {
	for i := 0; i < len(l.ending); i++ {
		e := l.ending[i]
		l.ending[i] = ending{}
		if e.former != nil {
			callClose(e.conn, e.former, e.reason)
			continue
		}
		e.conn.teardown(e.reason)
	}
	l.ending = l.ending[:0]
}

// offerResumed passes to each resumed conn the input that it has left. A conn that is resumed
// meanwhile waits for the next turn: a conn that always leaves bytes must not block the loop.
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

// adopt adds c to the loop.
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

// forgetAddresses clears the addresses that gnet stores. A Conn stores its peer's address and asks
// the kernel for its own. gnet would also put the memory of IPv6 zones into a pool of buffers,
// although others share those strings.
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

// recoverPanic is deferred around every call of a Handler, a timer or a posted function.
func (l *Loop) recoverPanic(what string) {
	if p := recover(); p != nil {
		l.reportPanic(what, p)
	}
}

func (l *Loop) reportPanic(what string, p any) {
	l.counters.Panics++
	l.engine.cfg.Logger.Error("panic recovered", "in", what, "loop", l.index,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// end closes every conn with ErrStopped. The loop accepts no conns and functions afterwards.
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
		l.runOnClose()
		l.busy = false
		return nil
	}))
	l.mu.Unlock()
	<-done
}
