package pressure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/e2e/internal/fleet"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// audience is clients of all wire formats, and a worker that broadcasts to them.
type audience struct {
	t       *testing.T
	worker  *worker.Worker
	all     []*receiver
	filling []byte

	number  uint32
	running sync.WaitGroup
	mu      sync.Mutex
	here    int             // guarded by mu
	cut     []time.Duration // guarded by mu: after which time slow consumers were closed
	wrong   []worker.Reason // guarded by mu: for which others were
	begun   time.Time       // guarded by mu
}

// receiver reads numbered broadcasts.
type receiver struct {
	conn     *speaker
	filling  []byte // of broadcasts
	received atomic.Int64
	last     atomic.Int64 // the number of the last; -1 after a mistake
	end      atomic.Value // error
}

func (a *audience) handler() worker.Handler {
	return worker.Handler{Connect: a.connect, Close: a.close}
}

func (a *audience) connect(context.Context, worker.Call) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.here++
	return nil
}

func (a *audience) close(_ context.Context, _ worker.Call, r worker.Reason) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.here--; r == worker.ReasonSlowConsumer {
		a.cut = append(a.cut, time.Since(a.begun))
	} else if r != worker.ReasonPeer {
		a.wrong = append(a.wrong, r)
	}
	return nil
}

// join adds n clients. Those with a pause wait as long after each 64 KB; with a negative one they
// do not read at all.
func (a *audience) join(g *proctest.Process, n int, pause time.Duration) (joined []*receiver) {
	a.t.Helper()
	for _, f := range varied(n, pause == 0, fleet.Addressed(g)) {
		h := &receiver{conn: dialAs(a.t, f), filling: a.filling}
		joined = append(joined, h)
		if pause != 0 {
			_ = h.conn.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		if pause >= 0 {
			a.running.Go(func() { h.read(pause) })
		}
	}
	a.all = append(a.all, joined...)
	a.await("the clients", func() bool { return a.here == len(a.all) })
	return joined
}

// await waits for what is looked at with mu.
func (a *audience) await(what string, done func() bool) {
	a.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		a.mu.Lock()
		ok := done()
		a.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			a.t.Fatalf("not in time: %s", what)
		}
	}
}

// awaitAll waits until each client that reads has received everything.
func (a *audience) awaitAll(quick []*receiver) {
	a.t.Helper()
	end := time.Now().Add(20 * time.Second)
	for i, h := range quick {
		for h.received.Load() < int64(a.number) {
			if time.Now().After(end) {
				a.t.Fatalf("client %d has received %d of %d, the last is %d, and its connection ended with %v",
					i, h.received.Load(), a.number, h.last.Load(), h.end.Load())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (h *receiver) read(pause time.Duration) {
	for since := 0; ; {
		body, err := h.conn.next()
		if err != nil {
			h.end.Store(fmt.Errorf("%s: %w", h.conn.format, err)) // of one type, as an atomic.Value wants it
			return
		}
		number := h.number(body)
		if number <= h.last.Load() {
			h.last.Store(-1)
			return
		}
		h.last.Store(number)
		h.received.Add(1)
		if since += len(body); pause > 0 && since > 64<<10 {
			since = 0
			time.Sleep(pause)
		}
	}
}

// broadcastSize is that of a message to everybody: the most that is compressed for a window of 12
// bits.
const broadcastSize = 4 << 10

// newFilling is a broadcast without its number: a string, which every format carries, that hardly
// gets smaller by compression.
func newFilling() []byte {
	const symbols = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,-./:;<=>?@[]^_{|}~"
	b, rng := make([]byte, broadcastSize), rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = symbols[rng.IntN(len(symbols))]
	}
	b[0], b[len(b)-1] = '"', '"'
	return b
}

// numberDigits is how many digits a broadcast's number has.
const numberDigits = 10

// number is a broadcast's; -1 when it is no broadcast.
func (h *receiver) number(body []byte) int64 {
	if len(body) != broadcastSize {
		return -1
	}
	n, err := strconv.ParseInt(string(body[1:1+numberDigits]), 10, 64)
	if err != nil || !bytes.Equal(body[1+numberDigits:], h.filling[1+numberDigits:]) {
		return -1
	}
	return n
}

// broadcast sends one message of 4 KB to all clients.
func (a *audience) broadcast(m worker.Message) {
	a.number++
	m.Data = slices.Clone(a.filling)
	m.Binary = true
	copy(m.Data[1:], fmt.Sprintf("%0*d", numberDigits, a.number))
	if err := a.worker.Publish(a.t.Context(), worker.Everyone(), m); err != nil && !errors.Is(err, worker.ErrLinkDown) {
		a.t.Errorf("broadcast: %v", err)
	}
}

// pace broadcasts 400 a second until done, or for the time given.
func (a *audience) pace(d time.Duration, m func(int) worker.Message, done func() bool) {
	beat := time.NewTicker(10 * time.Millisecond)
	defer beat.Stop()
	a.mu.Lock()
	a.begun = time.Now()
	a.mu.Unlock()
	for i := 0; time.Since(a.begun) < d; <-beat.C {
		for range 4 {
			a.broadcast(m(i))
			i++
		}
		a.mu.Lock()
		over := done()
		a.mu.Unlock()
		if over {
			return
		}
	}
}

// speak has each client say a word.
func (a *audience) speak() {
	for _, h := range a.all {
		if err := h.conn.say(`"x"`); err != nil {
			a.t.Error(err)
		}
	}
}

// leave closes all clients, and waits for what reads.
func (a *audience) leave() {
	for _, h := range a.all {
		_ = h.conn.Close()
	}
	a.running.Wait()
}

// stage starts a gateway with flags, and a worker to broadcast through it.
func stage(t *testing.T, flags ...string) (*audience, *proctest.Process) {
	t.Helper()
	g := proctest.Start(t, nil, proctest.Build(t),
		slices.Concat([]string{"gateway", "--inner", "127.0.0.1:0"}, fleet.ListenToAll(), flags)...)
	a := &audience{t: t, filling: newFilling()}
	a.worker = runWorker(t, g.Addrs["inner"], a.handler())
	t.Cleanup(a.leave)
	return a, g
}
