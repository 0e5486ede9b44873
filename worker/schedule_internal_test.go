package worker

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// For any behaviour of handlers, any division of frames into reads and any end of links: calls for
// one client never overlap and come in order, each message is acknowledged once, and its effects
// occur once, in order, with the acknowledgement. A schedule is generated from its seed. There is
// no watchdog, so leadership changes only where the schedule says.
func TestSchedules(t *testing.T) {
	t.Parallel()
	schedules := uint64(suite.Of(t, 300, 2000, "schedules"))
	w, business := newScheduleWorker(t)
	for seed := range schedules {
		s := newSchedule(t, w, seed)
		business.now.Store(s)
		s.run()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	st := w.Stats()
	if st.LeaderHandoffs == 0 || st.Offloaded == 0 || st.Panics == 0 || st.Errors == 0 || st.Retries == 0 {
		t.Errorf("the schedules missed what they are for: %+v", st)
	}
}

// act is what the call of a message does.
type act int

const (
	actEcho act = iota
	actPanic
	actExit
	actYield // gives the leadership away
	actBlock // so too, and waits
	actBlockExit
	actTimer
	actFail
	actRetry // is called twice
	acts
)

func (a act) fails() bool { return a == actPanic || a == actExit || a == actBlockExit || a == actFail }

// schedule is one run: the gateway's side of the links, and what handlers are to do.
type schedule struct {
	t    *testing.T
	w    *Worker
	rng  *rand.Rand // owned by run
	acts [][]act    // by client and message
	gate [][]chan struct{}
	shut []chan struct{} // owned by run: gates that hold

	running []atomic.Int32 // by client: calls

	mu     sync.Mutex
	called map[*session][]int // guarded by mu: messages, in the order of their calls; an entry is made by Adopt
	again  map[at]bool        // guarded by mu: those that were to be retried and have been called
	closed []int              // guarded by mu: by client
	acked  [][]bool           // guarded by mu: by client and message
	echoes [][]int            // guarded by mu: by client
	due    [][]event          // guarded by mu: by client: of this link, not acknowledged
	empty  chan struct{}      // guarded by mu: closed when the last of due is; nil: nobody waits
}

// event is what a frame tells about a client, and the number it is acknowledged by.
type event struct {
	typ     link.Type
	number  uint32
	message int
}

// at is a message of a client.
type at struct{ client, message int }

type scheduled struct{ now atomic.Pointer[schedule] }

func newScheduleWorker(t *testing.T) (*Worker, *scheduled) {
	t.Helper()
	business := new(scheduled)
	w, err := New(Config{Gateways: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler)}, business.handler())
	if err != nil {
		t.Fatal(err)
	}
	w.retryIn = 0
	close(w.late) // its links are those of the schedules
	return w, business
}

func newSchedule(t *testing.T, w *Worker, seed uint64) *schedule {
	s := &schedule{t: t, w: w, rng: rand.New(rand.NewPCG(seed, 1))}
	clients := 1 + s.rng.IntN(4)
	s.running = make([]atomic.Int32, clients)
	s.called, s.again = make(map[*session][]int), make(map[at]bool)
	s.closed, s.echoes = make([]int, clients), make([][]int, clients)
	wild := s.rng.IntN(4) == 0
	for range clients {
		n := s.rng.IntN(16)
		list, gates := make([]act, n), make([]chan struct{}, n)
		for i := range list {
			if wild || s.rng.IntN(3) == 0 {
				list[i] = act(s.rng.IntN(int(acts)))
			}
			gates[i] = make(chan struct{})
			if list[i] == actBlock || list[i] == actBlockExit {
				s.shut = append(s.shut, gates[i])
			}
		}
		s.acts, s.gate, s.acked = append(s.acts, list), append(s.gate, gates), append(s.acked, make([]bool, n))
	}
	return s
}

// handler returns the handler of the schedules.
func (b *scheduled) handler() Handler {
	return Handler{Adopt: b.adopt, Message: b.message, Close: b.close}
}

func (b *scheduled) adopt(_ context.Context, c Call, _ Takeover) error {
	s := b.now.Load()
	defer s.enter(int(c.s.id().slot()))()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.called[c.s] != nil {
		s.t.Errorf("client %d is adopted twice", c.s.id().slot())
	}
	s.called[c.s] = []int{}
	return nil
}

func (b *scheduled) message(_ context.Context, c Call, m Message) error {
	s := b.now.Load()
	client, message := int(m.Data[0]), int(m.Data[1])
	defer s.enter(client)()
	s.mu.Lock()
	if s.called[c.s] == nil {
		s.t.Errorf("client %d: message %d comes before Adopt", client, message)
	}
	retry := s.acts[client][message] == actRetry && !s.again[at{client, message}]
	if retry {
		s.again[at{client, message}] = true
	} else {
		s.called[c.s] = append(s.called[c.s], message)
	}
	s.mu.Unlock()
	c.Send(m)
	if retry {
		return Retry(io.EOF)
	}
	switch s.acts[client][message] {
	case actPanic:
		panic("on purpose")
	case actExit:
		runtime.Goexit()
	case actFail:
		return io.EOF
	case actYield:
		c.s.aboutToBlock()
		runtime.Gosched()
	case actBlock:
		c.s.aboutToBlock()
		<-s.gate[client][message]
	case actBlockExit:
		c.s.aboutToBlock()
		<-s.gate[client][message]
		runtime.Goexit()
	case actTimer:
		c.After(0, func(context.Context, Call) error {
			s.enter(client)()
			return nil
		})
	}
	return nil
}

func (b *scheduled) close(_ context.Context, c Call, _ Reason) error {
	s := b.now.Load()
	client := int(c.s.id().slot())
	defer s.enter(client)()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed[client]++
	return nil
}

// enter records that a call of the client runs, until the function that it returns is called.
func (s *schedule) enter(client int) (leave func()) {
	if n := s.running[client].Add(1); n != 1 {
		s.t.Errorf("%d calls for client %d at a time", n, client)
	}
	runtime.Gosched()
	return func() { s.running[client].Add(-1) }
}

// run is the gateway: some links that end at any point, and a last one that delivers everything.
func (s *schedule) run() {
	for range s.rng.IntN(3) {
		s.life(true)
	}
	s.life(false)
	s.w.tasks.Wait()
	s.w.exec.Wait()
	for of, called := range s.called {
		if !slices.IsSorted(called) || len(slices.Compact(slices.Clone(called))) != len(called) {
			s.t.Errorf("client %d: called in the order %v", of.id().slot(), called)
		}
	}
	for client, list := range s.acts {
		var want []int
		for message, a := range list {
			if !a.fails() {
				want = append(want, message)
			}
		}
		if !slices.Equal(s.echoes[client], want) {
			s.t.Errorf("client %d got %v, not %v", client, s.echoes[client], want)
		}
		if s.closed[client] != 1 {
			s.t.Errorf("client %d was closed %d times", client, s.closed[client])
		}
	}
}

// life is one link: all clients and their unacknowledged messages are sent on it.
func (s *schedule) life(dies bool) {
	near, far := net.Pipe()
	l := newLink(s.w, near, "", link.GatewayHello{ID: 1, Loops: 1, MaxFrame: link.MaxFrame})
	frames := s.frames(!dies)
	var both sync.WaitGroup
	l.start()
	both.Go(func() { <-l.done })
	both.Go(func() { s.read(far) })
	if dies {
		frames = frames[:s.rng.IntN(len(frames)+1)]
	}
	var b []byte
	for i := range frames {
		b = link.Append(b, &frames[i])
		if s.rng.IntN(3) == 0 { // up to anywhere in a frame
			n := s.rng.IntN(len(b) + 1)
			_, _ = far.Write(b[:n])
			b = b[n:]
		}
		if s.rng.IntN(4) == 0 {
			s.open()
		}
		if s.rng.IntN(8) == 0 {
			for range 50 { // the link's messages go to its leader again
				s.w.exec.Tick()
			}
		}
	}
	if !dies {
		_, _ = far.Write(b)
		for len(s.shut) > 0 {
			s.open()
		}
		s.awaitAcks()
	}
	_ = far.Close()
	both.Wait() // not for handlers that block
}

// frames returns the frames of a link: each client's in order, those of several clients mixed.
func (s *schedule) frames(ends bool) (frames []link.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = make([][]event, len(s.acts))
	due := make([][]link.Frame, len(s.acts))
	attachment := link.AppendAttachment(nil, &link.Attachment{Cause: link.CauseDied, Remote: "r", Listener: "l"})
	for client, list := range s.acts {
		due[client] = append(due[client], link.Frame{Type: link.Attach, Payload: attachment})
		for message := range list {
			if !s.acked[client][message] {
				due[client] = append(due[client], link.Frame{Type: link.Message, Payload: []byte{byte(client), byte(message)}})
			}
		}
		if ends {
			due[client] = append(due[client], link.Frame{Type: link.Detach, Code: uint16(link.ReasonPeer)})
		}
	}
	for slices.ContainsFunc(due, func(list []link.Frame) bool { return len(list) > 0 }) {
		client := s.rng.IntN(len(due))
		if len(due[client]) == 0 {
			continue
		}
		f := due[client][0]
		due[client] = due[client][1:]
		f.Slot, f.Token = uint32(client), 7
		what := event{typ: f.Type}
		if n := len(s.due[client]); n > 0 {
			f.ID = s.due[client][n-1].number
		}
		if f.Type == link.Message {
			f.ID++
			what.message = int(f.Payload[1])
		}
		what.number = f.ID
		s.due[client] = append(s.due[client], what)
		frames = append(frames, f)
	}
	return frames
}

// open lets one of the calls that block return, now or when it begins.
func (s *schedule) open() {
	if n := len(s.shut); n > 0 {
		i := s.rng.IntN(n)
		close(s.shut[i])
		s.shut = slices.Delete(s.shut, i, i+1)
	}
}

// awaitAcks waits until everything is acknowledged.
func (s *schedule) awaitAcks() {
	done := make(chan struct{})
	s.mu.Lock()
	if s.nothingDue() {
		close(done)
	} else {
		s.empty = done
	}
	s.mu.Unlock()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.t.Errorf("never acknowledged: %v", s.due)
	}
}

// read reads what the worker sends until the link ends.
func (s *schedule) read(conn net.Conn) {
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		b := append(size[:], make([]byte, binary.BigEndian.Uint32(size[:])-4)...)
		if _, err := io.ReadFull(conn, b[4:]); err != nil {
			return
		}
		var f link.Frame
		if n, err := link.Next(b, link.MaxFrame, &f); n != len(b) || err != nil {
			s.t.Errorf("a bad frame: %v", err)
			return
		}
		switch {
		case f.Type == link.Unit:
			s.unit(&f, f.Payload)
		case f.Type == link.Send && f.Has(link.FlagHandled):
			s.unit(&f, b)
		}
	}
}

// nothingDue reports whether everything is acknowledged. Called with mu.
func (s *schedule) nothingDue() bool {
	return !slices.ContainsFunc(s.due, func(list []event) bool { return len(list) > 0 })
}

// unit applies one unit, whose effects are the frames in in: it checks what is acknowledged, and
// that the effects are exactly those of the acknowledged messages.
func (s *schedule) unit(f *link.Frame, in []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	within := make(map[at]bool)
	client, acked := int(f.Slot), 0
	for len(s.due[client]) > 0 {
		e := s.due[client][0]
		if e.number > f.ID || e.typ == link.Detach && (f.Type != link.Unit || !f.Has(link.FlagLeft)) {
			break
		}
		s.due[client] = s.due[client][1:]
		acked++
		if e.typ == link.Message {
			s.acked[client][e.message] = true
			within[at{client, e.message}] = !s.acts[client][e.message].fails()
		}
	}
	if acked == 0 {
		s.t.Errorf("client %d: number %d was acknowledged twice, or never sent", client, f.ID)
	}
	for len(in) > 0 {
		var inner link.Frame
		n, err := link.Next(in, link.MaxFrame, &inner)
		if n == 0 || err != nil {
			s.t.Errorf("a bad frame in a unit: %v", err)
			return
		}
		in = in[n:]
		what := at{int(inner.Payload[0]), int(inner.Payload[1])}
		if !within[what] {
			s.t.Errorf("the effect of %v is not with its acknowledgement, or of a call that failed, or there twice", what)
		}
		delete(within, what)
		s.echoes[what.client] = append(s.echoes[what.client], what.message)
	}
	if s.empty != nil && s.nothingDue() {
		close(s.empty)
		s.empty = nil
	}
}
