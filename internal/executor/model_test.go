package executor

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/suite"
)

// For any behaviour of calls, and any end of sources: the calls of a client come in order and never
// overlap, also from one source to the next; each event is committed once, in order, and after what
// the client's earlier calls have done; a view is valid while its call runs; when all calls have
// returned, no goroutine is left. A schedule is generated from its seed. Ticks occur only where the
// schedule says.
func TestSchedules(t *testing.T) {
	t.Parallel()
	var seen cover
	for seed := range uint64(suite.Of(t, 2000, 6000, "schedules")) {
		m := newModel(t, seed)
		m.run()
		seen.add(m)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	seen.check(t)
}

// act is what a call does.
type act int

const (
	actReturn act = iota
	actBlock      // says that it blocks, and waits
	actHang       // waits
	actExit       // ends its goroutine
	actBlockExit
	actHangExit
	actAgain // is run twice
	actBlockAgain
	actSubmit // submits an event
	acts
)

func (a act) blocks() bool { return a == actBlock || a == actBlockExit || a == actBlockAgain }
func (a act) hangs() bool  { return a == actHang || a == actHangExit }
func (a act) exits() bool  { return a == actExit || a == actBlockExit || a == actHangExit }
func (a act) again() bool  { return a == actAgain || a == actBlockAgain }

// event is event n of a client, or one that a call has submitted.
type event struct {
	client, n int
	view      *int // holds n while the call runs
	submitted bool
	tries     int
}

// model is one schedule: the clients, what their calls do, and what they have done.
type model struct {
	t    *testing.T
	x    *Executor[event]
	rng  *rand.Rand // owned by run
	acts [][]act
	gate [][]chan struct{}
	shut []chan struct{} // owned by run: gates that hold

	mu        sync.Mutex
	running   []int // guarded by mu, as what follows: calls of each client
	committed []int // events of each client
	submitted int   // events that calls have submitted
	ran       int   // calls of those
	lives     int
	entered   map[entry]int
}

// entry is a transition of a client: its state, and what happened.
type entry struct{ state, event string }

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 1)), entered: make(map[entry]int)}
	m.x = New(Config[event]{SlowAfter: -1, MaxOwn: m.rng.IntN(4), Full: func() { m.note("any", "full") }})
	clients := 1 + m.rng.IntN(4)
	m.running, m.committed = make([]int, clients), make([]int, clients)
	for range clients {
		list, gates := make([]act, 1+m.rng.IntN(8)), []chan struct{}(nil)
		for i := range list {
			if m.rng.IntN(3) == 0 {
				list[i] = act(m.rng.IntN(int(acts)))
			}
			gates = append(gates, make(chan struct{}))
			if list[i].blocks() || list[i].hangs() {
				m.shut = append(m.shut, gates[i])
			}
		}
		m.acts, m.gate = append(m.acts, list), append(m.gate, gates)
	}
	return m
}

// run plays some sources that end at any point, and a last one that ends when all is committed.
func (m *model) run() {
	for range m.rng.IntN(3) {
		m.life(true)
	}
	m.life(false)
	waited := make(chan struct{})
	go func() { m.x.Wait(); close(waited) }()
	select {
	case <-waited:
	case <-time.After(10 * time.Second):
		m.t.Fatal("goroutines are left")
	}
	for client, n := range m.committed {
		if n != len(m.acts[client]) {
			m.t.Errorf("client %d: %d events are committed, want %d", client, n, len(m.acts[client]))
		}
	}
	if len(m.x.own)+len(m.x.streams) > 0 || m.ran > m.submitted {
		m.t.Errorf("left: %v, %v; %d of %d submitted events ran", m.x.own, m.x.streams, m.ran, m.submitted)
	}
}

// life is one source.
func (m *model) life(dies bool) {
	s := newSource(m)
	m.x.Lead(s)
	due := make([][]event, len(m.acts))
	m.mu.Lock()
	m.lives++
	for client, list := range m.acts {
		for n := m.committed[client]; n < len(list); n++ {
			due[client] = append(due[client], event{client: client, n: n})
		}
	}
	m.mu.Unlock()
	for left := dies && m.rng.IntN(4) > 0; slices.ContainsFunc(due, func(list []event) bool { return len(list) > 0 }); {
		if client := m.rng.IntN(len(due)); len(due[client]) > 0 {
			s.deliver(due[client][0])
			due[client] = due[client][1:]
		}
		m.disturb()
		if left && m.rng.IntN(8) == 0 {
			break
		}
	}
	for deadline := time.Now().Add(10 * time.Second); !dies && !m.complete(); {
		m.disturb()
		if time.Now().After(deadline) {
			m.t.Fatalf("committed %v", m.committed)
		}
	}
	s.cut()
}

// disturb does what may happen at any time.
func (m *model) disturb() {
	switch m.rng.IntN(6) {
	case 0:
		m.x.Tick()
	case 1:
		for range offloadTicks {
			m.x.Tick()
		}
	case 2:
		if n := len(m.shut); n > 0 {
			i := m.rng.IntN(n)
			close(m.shut[i])
			m.shut = slices.Delete(m.shut, i, i+1)
		}
	default:
		runtime.Gosched()
	}
}

func (m *model) complete() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for client, n := range m.committed {
		if n < len(m.acts[client]) {
			return false
		}
	}
	return true
}

func (m *model) note(state, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entered[entry{state, what}]++
}

// source gives the executor the events of a life.
type source struct {
	m    *model
	done chan struct{} // closed when Ended has been called

	// Owned by the leader.
	busy    sync.Mutex // its methods never overlap
	actors  map[int]*actor
	batch   []event
	batches uint64
	view    *int

	mu      sync.Mutex
	more    sync.Cond // on mu
	pending []event   // guarded by mu
	ended   bool      // guarded by mu
	pushed  uint64    // guarded by mu: batches
}

func newSource(m *model) *source {
	s := &source{m: m, done: make(chan struct{}), actors: make(map[int]*actor), view: new(int)}
	s.more.L = &s.mu
	return s
}

func (s *source) deliver(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, e)
	s.more.Broadcast()
}

// cut ends the source.
func (s *source) cut() {
	s.mu.Lock()
	s.ended = true
	s.more.Broadcast()
	s.mu.Unlock()
	for {
		select {
		case <-s.done:
			return
		default:
			s.m.x.Tick() // a call may hang
			runtime.Gosched()
		}
	}
}

// lead fails the test if another goroutine is in a method of the source.
func (s *source) lead() (leave func()) {
	if !s.busy.TryLock() {
		s.m.t.Error("two goroutines lead")
		return func() {}
	}
	return s.busy.Unlock
}

func (s *source) Next(e *event) (Actor[event], error) {
	defer s.lead()()
	s.mu.Lock()
	for len(s.pending) == 0 && !s.ended {
		s.mu.Unlock()
		s.push()
		s.mu.Lock()
		if len(s.pending) == 0 && !s.ended {
			s.more.Wait()
		}
	}
	defer s.mu.Unlock()
	if s.ended {
		return nil, errors.New("cut")
	}
	*e = s.pending[0]
	s.pending = s.pending[1:]
	*s.view = e.n
	e.view = s.view
	a := s.actors[e.client]
	if a == nil {
		a = &actor{s: s, id: e.client, last: -1}
		a.ID[0] = byte(e.client)
		s.actors[e.client] = a
	}
	return a, nil
}

func (s *source) Flush() {
	defer s.lead()()
	s.push()
}

func (s *source) TakenOver() {
	defer s.lead()()
	s.push()
	s.view = new(int)
}

func (s *source) Ended(error) {
	defer s.lead()()
	for _, a := range s.actors {
		a.Mu.Lock()
		a.Closed = true
		a.Mu.Unlock()
	}
	close(s.done)
}

// push commits the batch.
func (s *source) push() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.batch {
		s.commit(e)
	}
	s.batch = nil
	s.batches++
	s.pushed = s.batches
	s.more.Broadcast()
}

// commit is called with mu.
func (s *source) commit(e event) {
	if s.ended || e.submitted {
		return
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.committed[e.client] != e.n {
		m.t.Errorf("client %d: event %d is committed when %d is due", e.client, e.n, m.committed[e.client])
	}
	m.committed[e.client]++
}

// afterBatch waits for a batch. It returns false if the source has ended.
func (s *source) afterBatch(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pushed < n && !s.ended {
		s.more.Wait()
	}
	return !s.ended
}

// actor is one client of a source.
type actor struct {
	Client[event]
	s  *source
	id int

	led, called bool   // guarded by Mu
	ranIn       uint64 // guarded by Mu
	last        int    // owned by the calls: the event of the last call
}

func (a *actor) Ready(*event) bool {
	if a.s.afterBatch(a.ranIn) {
		return true
	}
	<-a.s.done
	return false
}

func (a *actor) Begin(e *event, led bool) {
	if a.called {
		a.s.m.t.Errorf("client %d: a call begins in a call", a.id)
	}
	a.called, a.led = true, led
	if led {
		a.ranIn = a.s.batches + 1
	}
}

func (a *actor) Leave() {
	if !a.called || !a.led {
		a.s.m.t.Errorf("client %d: no led call", a.id)
	}
	a.led = false
}

func (a *actor) End(e *event) (again bool) {
	if !a.called {
		a.s.m.t.Errorf("client %d: no call", a.id)
	}
	a.called = false
	again = a.s.m.act(e).again() && e.tries == 0
	e.tries++
	if a.led && !again {
		a.s.batch = append(a.s.batch, *e)
	}
	state := map[bool]string{true: "led", false: "own"}[a.led]
	what := map[bool]string{true: "again", false: "returns"}[again]
	if a.s.m.act(e).exits() {
		what = "exits"
	}
	a.s.m.note(state, what)
	if len(a.queue) > 0 {
		a.s.m.note(state, "returns, others wait")
	}
	return again
}

func (a *actor) Commit(e *event) {
	if a.s.m.act(e).again() && e.tries == 1 {
		return
	}
	a.s.afterBatch(a.ranIn)
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.s.commit(*e)
}

func (a *actor) Keep(e *event) { n := *e.view; e.view = &n }

func (a *actor) Blocked() { a.s.m.note("own", "blocked") }

// act returns what the call of an event does.
func (m *model) act(e *event) act {
	if e.submitted {
		return actReturn
	}
	return m.acts[e.client][e.n]
}

func (a *actor) Run(e *event) {
	m := a.s.m
	m.mu.Lock()
	if m.running[a.id]++; m.running[a.id] > 1 {
		m.t.Errorf("client %d: %d calls at a time", a.id, m.running[a.id])
	}
	if e.submitted {
		m.ran++
	}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.running[a.id]--
		m.mu.Unlock()
	}()
	if !e.submitted && (e.n < a.last || e.n == a.last && e.tries == 0) {
		m.t.Errorf("client %d: event %d comes after %d", a.id, e.n, a.last)
	}
	do := m.act(e)
	if !e.submitted {
		a.last = e.n
	}
	if do.blocks() {
		m.x.Block(a)
	}
	if do.blocks() || do.hangs() {
		<-m.gate[e.client][e.n]
	}
	if do == actSubmit {
		m.mu.Lock()
		m.submitted++
		m.mu.Unlock()
		m.x.Submit(a, event{client: e.client, n: -1, view: &minusOne, submitted: true})
	}
	runtime.Gosched()
	if *e.view != e.n {
		m.t.Errorf("client %d: the view of event %d has %d", a.id, e.n, *e.view)
	}
	if do.exits() {
		runtime.Goexit()
	}
}

var minusOne = -1

// cover is what all schedules together have gone through.
type cover struct {
	entered map[entry]int
	stats   Stats
}

func (c *cover) add(m *model) {
	if c.entered == nil {
		c.entered = make(map[entry]int)
	}
	for e, n := range m.entered {
		c.entered[e] += n
	}
	s := m.x.Stats()
	c.stats.Handoffs += s.Handoffs
	c.stats.Offloaded += s.Offloaded
}

func (c *cover) check(t *testing.T) {
	for _, state := range []string{"led", "own"} {
		for _, what := range []string{"returns", "again", "exits", "returns, others wait"} {
			if c.entered[entry{state, what}] < 10 {
				t.Errorf("%s, %s: %d times", state, what, c.entered[entry{state, what}])
			}
		}
	}
	if n := c.entered[entry{"own", "blocked"}]; n < 100 {
		t.Errorf("clients blocked %d times", n)
	}
	if c.entered[entry{"any", "full"}] < 100 {
		t.Errorf("the goroutines of clients had all places %d times", c.entered[entry{"any", "full"}])
	}
	if c.stats.Handoffs < 100 || c.stats.Offloaded < 100 {
		t.Errorf("the schedules missed what they are for: %+v", c.stats)
	}
	t.Logf("%v, %+v", c.entered, c.stats)
}
