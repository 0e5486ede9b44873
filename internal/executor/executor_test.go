package executor

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// queue is a source whose events are functions.
type queue struct {
	events  chan job
	flushed int     // owned by the leader
	of      []*doer // owned by the test
}

type job struct {
	of *doer
	do func()
}

func newQueue() *queue { return &queue{events: make(chan job, 4096)} }

func (q *queue) Next(j *job) (Actor[job], error) {
	next, ok := <-q.events
	if !ok {
		return nil, errors.New("closed")
	}
	*j = next
	return next.of, nil
}

func (q *queue) Flush()      { q.flushed++ }
func (q *queue) TakenOver()  {}
func (q *queue) Ended(error) {}

// doer runs functions.
type doer struct {
	Client[job]
	again   bool // the next call is to be repeated
	blocked atomic.Int64
}

func newDoer(n int) *doer {
	d := new(doer)
	d.ID = ID{byte(n), byte(n >> 8)}
	return d
}

func (d *doer) Ready(*job) bool   { return true }
func (d *doer) Begin(*job, bool)  {}
func (d *doer) Run(j *job)        { j.do() }
func (d *doer) Leave()            {}
func (d *doer) Commit(*job)       {}
func (d *doer) Keep(*job)         {}
func (d *doer) Blocked()          { d.blocked.Add(1) }
func (d *doer) End(*job) bool     { again := d.again; d.again = false; return again }
func (d *doer) busyNow() (b bool) { d.Mu.Lock(); defer d.Mu.Unlock(); return d.busy() }

// watched returns an executor that is watched until the test ends.
func watched(t *testing.T, cfg Config[job]) (*Executor[job], *queue) {
	x, q := New(cfg), newQueue()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { x.Watch(ctx); close(ended) }()
	x.Lead(q)
	t.Cleanup(func() {
		close(q.events)
		x.Wait()
		cancel()
		<-ended
	})
	return x, q
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// A thousand calls that hang hold up no other client. They are counted, and a few are reported with
// their stacks.
func TestHangingCallsHoldUpNoOther(t *testing.T) {
	t.Parallel()
	const hanging, rounds = 1000, 50
	var reported, more atomic.Int64
	x, q := watched(t, Config[job]{
		Name: "t", SlowAfter: 20 * time.Millisecond,
		Slow: func(c Running[job], stack string) {
			if !strings.Contains(stack, "TestHangingCallsHoldUpNoOther") && !strings.Contains(stack, "just ended") {
				t.Errorf("the stack is another one:\n%s", stack)
			}
			reported.Add(1)
		},
		MoreSlow: func(calls, _ int) { more.Add(int64(calls)) },
	})
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	for i := range hanging {
		q.of = append(q.of, newDoer(i))
		q.events <- job{q.of[i], func() { <-gate }}
	}
	other := newDoer(hanging)
	for range rounds {
		answered := make(chan struct{})
		q.events <- job{other, func() { close(answered) }}
		<-answered
	}
	await(t, "not all hanging calls are counted", func() bool {
		s := x.Stats()
		return s.Slow == hanging && s.Blocked == hanging
	})
	await(t, "not all are reported", func() bool { return reported.Load()+more.Load() == hanging })
	for i, d := range q.of {
		await(t, "a client is not told that it blocks", func() bool { return d.blocked.Load() > 0 })
		if n := d.blocked.Load(); n != 1 {
			t.Errorf("client %d is told %d times that it blocks", i, n)
		}
	}
	if n := reported.Load(); n == 0 || n > hanging/10 {
		t.Errorf("%d calls are reported with their stacks", n)
	}
	oldest, stack, n := x.Oldest()
	if n != hanging || oldest.Actor == nil || !strings.Contains(stack, "TestHangingCallsHoldUpNoOther") {
		t.Errorf("the oldest of %d is %v:\n%s", n, oldest.Actor, stack)
	}
	open()
	await(t, "goroutines are left", func() bool { return x.Stats().Blocked == 0 })
	if _, _, n := x.Oldest(); n != 0 {
		t.Errorf("%d run when all have returned", n)
	}
}

// When as many calls block as may, further events wait, in order, until one has returned.
func TestCallsThatBlockAreBounded(t *testing.T) {
	t.Parallel()
	const most, clients, events = 8, 100, 3
	var full, calls, beside, peak atomic.Int64
	x, q := watched(t, Config[job]{SlowAfter: -1, MaxOwn: most, Full: func() { full.Add(1) }})
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	next := make([]atomic.Int64, clients)
	for n := range int64(events) {
		for i := range clients {
			if n == 0 {
				q.of = append(q.of, newDoer(i))
			}
			q.events <- job{q.of[i], func() {
				peak.Store(max(peak.Load(), beside.Add(1)))
				defer beside.Add(-1)
				<-gate
				if !next[i].CompareAndSwap(n, n+1) {
					t.Errorf("client %d: event %d comes when %d is due", i, n, next[i].Load())
				}
				calls.Add(1)
			}}
		}
	}
	// One may be led when the last place is taken, and is taken over then.
	await(t, "not all clients wait", func() bool {
		s := x.Stats()
		return s.Blocked >= most && s.Blocked+s.Waiting == clients && len(q.events) == 0
	})
	if n := x.Stats().Blocked; n > most+1 || full.Load() != 1 {
		t.Errorf("%d calls block, and Full was called %d times", n, full.Load())
	}
	open()
	await(t, "not all events have run", func() bool { return calls.Load() == clients*events })
	await(t, "goroutines are left", func() bool { s := x.Stats(); return s.Blocked == 0 && s.Waiting == 0 })
	over := make(chan struct{})
	q.events <- job{newDoer(clients), func() { close(over) }}
	<-over
	if n := peak.Load(); n > most+1 {
		t.Errorf("%d calls at a time", n)
	}
}

// A call that returns while its source is taken over leaves nothing behind.
func TestACallReturnsDuringTheTakeover(t *testing.T) {
	t.Parallel()
	x, q := watched(t, Config[job]{SlowAfter: -1})
	d, gate, begun := newDoer(1), make(chan struct{}), make(chan struct{})
	q.events <- job{d, func() { close(begun); <-gate }}
	<-begun
	// What Block does, in steps.
	d.Mu.Lock()
	s := d.led
	if s != nil { // Watch was not faster
		s.leave(&d.Client)
	}
	d.Mu.Unlock()
	close(gate)
	await(t, "the client does not become idle", func() bool { return !d.busyNow() })
	if s != nil {
		s.takeOver()
	}
	if n := x.Stats(); n.Blocked != 0 || n.Handoffs != 1 {
		t.Errorf("%+v", n)
	}
	over := make(chan struct{})
	q.events <- job{d, func() { close(over) }}
	<-over // the source has a leader
}

// Block does nothing when no call of the client is led.
func TestBlockOfAnIdleClient(t *testing.T) {
	t.Parallel()
	x, q := watched(t, Config[job]{SlowAfter: -1})
	d, over := newDoer(1), make(chan struct{})
	x.Block(d)
	q.events <- job{d, func() { close(over) }}
	<-over
	await(t, "the client does not become idle", func() bool { return !d.busyNow() })
	x.Block(d)
	if n := x.Stats().Handoffs; n != 0 {
		t.Errorf("%d takeovers", n)
	}
}

// Before a client gets a goroutine of its own, its earlier effects take their place.
func TestFlushBeforeAGoroutineOfItsOwn(t *testing.T) {
	t.Parallel()
	x, q := watched(t, Config[job]{SlowAfter: -1})
	d := newDoer(1)
	d.again = true
	var calls, flushed atomic.Int64
	q.events <- job{d, func() {
		if calls.Add(1) == 2 {
			flushed.Store(int64(q.flushed))
		}
	}}
	await(t, "it is not called again", func() bool { return calls.Load() == 2 && x.Stats().Blocked == 0 })
	if flushed.Load() == 0 && x.Stats().Handoffs == 0 {
		t.Error("it was called again before its effects were flushed")
	}
}

// Submit does nothing for a client that is closed.
func TestSubmitToAClosedClient(t *testing.T) {
	t.Parallel()
	x, _ := watched(t, Config[job]{SlowAfter: -1})
	d, over := newDoer(1), make(chan struct{})
	x.Submit(d, job{d, func() { close(over) }})
	<-over
	await(t, "the client does not become idle", func() bool { return !d.busyNow() })
	d.Mu.Lock()
	d.Closed = true
	d.Mu.Unlock()
	x.Submit(d, job{d, func() { t.Error("it ran") }})
	if d.busyNow() {
		t.Error("the client has something to do")
	}
}

// again is a source that gives the same events again and again.
type again struct {
	queue
	left  int
	pause chan struct{} // one value for each round
	done  chan struct{}
}

func (s *again) Next(j *job) (Actor[job], error) {
	if s.left == 0 {
		s.done <- struct{}{}
		if _, more := <-s.pause; !more {
			return nil, errors.New("closed")
		}
		s.left = 1000
	}
	s.left--
	j.of, j.do = s.of[s.left%len(s.of)], func() {}
	return j.of, nil
}

// A call that is led costs no allocation.
func TestALedCallAllocatesNothing(t *testing.T) {
	s := &again{pause: make(chan struct{}), done: make(chan struct{})}
	for i := range 16 {
		s.of = append(s.of, newDoer(i))
	}
	x := New(Config[job]{SlowAfter: -1})
	x.awake.Store(true) // nothing ticks
	x.Lead(s)
	<-s.done
	round := func() { s.pause <- struct{}{}; <-s.done }
	if n := testing.AllocsPerRun(50, round); n > 0 {
		t.Errorf("%v allocations for 1,000 calls", n)
	}
	close(s.pause)
	x.Wait()
}
