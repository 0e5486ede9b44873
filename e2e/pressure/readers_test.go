package pressure_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/procfs"
	"github.com/seed-7410fe32/sluice/internal/suite"
	"github.com/seed-7410fe32/sluice/worker"
)

const mib = 1 << 20

// gauge follows the resident memory of a process.
type gauge struct {
	pid   int
	first int
	most  atomic.Int64
	stop  func()
}

func newGauge(t *testing.T, pid int) *gauge {
	g := &gauge{pid: pid, first: procfs.Resident(pid)}
	if g.first == 0 {
		t.Skip("NOT TESTED: there is no /proc")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		beat := time.NewTicker(20 * time.Millisecond)
		defer beat.Stop()
		for ctx.Err() == nil {
			g.most.Store(max(g.most.Load(), int64(procfs.Resident(pid))))
			<-beat.C
		}
	})
	g.stop = func() { cancel(); running.Wait() }
	t.Cleanup(g.stop)
	return g
}

// growth is by how much memory has been above its first value, at most, in MiB.
func (g *gauge) growth() float64 { return float64(int(g.most.Load())-g.first) / mib }

// runWorker runs a worker of the test's own until the test ends.
func runWorker(t *testing.T, inner string, h worker.Handler) *worker.Worker {
	t.Helper()
	w, err := worker.New(worker.Config{Gateways: []string{inner}, Logger: slog.New(slog.DiscardHandler)}, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	})
	<-w.Ready()
	return w
}

// Five of a hundred clients stop reading while 400 messages of 4 KB a second go to all. They are
// closed within 10 s as the policy says, the others miss nothing, and the gateway holds no more
// for the five than it may.
func TestPressureOfClientsThatDoNotRead(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	plain := func(int) worker.Message { return worker.Message{} }
	latest := func(i int) worker.Message { return worker.Message{Conflate: strconv.Itoa(i % 5)} }
	for _, test := range []struct {
		name    string
		flags   []string
		message func(int) worker.Message
		most    float64 // MiB that the gateway may grow by: on a busy machine some waits for the quick ones too
	}{
		{"close", nil, plain, 192},
		{"drop the oldest, cut by the deadline", []string{"--overflow", "oldest", "--write-timeout", "2s"}, plain, 192},
		{"the latest of 5 keys, cut by the deadline", []string{"--write-timeout", "2s"}, latest, 192},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, g := stage(t, append(test.flags, "--reactors", "2")...)
			quick := a.join(g, 95, 0)
			a.pace(time.Second, plain, func() bool { return false }) // buffers find their size
			m := newGauge(t, g.PID)
			const slow = 5
			a.join(g, slow, -1)
			before := a.number
			a.pace(12*time.Second, test.message, func() bool { return len(a.cut) == slow })
			m.stop()
			a.awaitAll(quick)
			a.mu.Lock()
			defer a.mu.Unlock()
			if len(a.cut) != slow || len(a.wrong) > 0 {
				t.Fatalf("%d were cut as slow, others for %v", len(a.cut), a.wrong)
			}
			last := a.cut[slow-1]
			t.Logf("%d who stopped reading were cut after %.1f…%.1f s, with %d messages of 4 KB sent; "+
				"the gateway grew by %.1f MiB", slow, a.cut[0].Seconds(), last.Seconds(), a.number-before, m.growth())
			if last > 10*time.Second {
				t.Errorf("it took %v", last)
			}
			if m.growth() > test.most {
				t.Errorf("more than %.0f MiB", test.most)
			}
		})
	}
}

// Broadcasts as fast as a worker can send them, to clients that read more slowly, are dropped: the
// gateway holds no more for each client than it may, and what arrives is in order. In the first
// half of the time buffers reach their size. In the second half, however long, memory stays the
// same.
//
// SLUICE_PRESSURE=60s sets the time.
func TestPressureOfBroadcasts(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	const (
		clients = 20
		most    = 192 // MiB that the gateway may grow by
		more    = 64  // MiB of it in the second half
		here    = 32  // MiB that the worker's heap may grow by, the clients' with it
	)
	lasts := time.Duration(suite.Of(t, 4, 6, "seconds")) * time.Second
	if d, err := time.ParseDuration(os.Getenv("SLUICE_PRESSURE")); err == nil {
		lasts = d
	}
	a, g := stage(t, "--overflow", "oldest", "--reactors", "2")
	a.join(g, clients, 20*time.Millisecond)
	m, heap := newGauge(t, g.PID), ownHeap()
	said := time.Now()
	flood := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			a.broadcast(worker.Message{})
			if time.Since(said) > time.Second {
				a.speak() // who is silent for 75 s is closed
				said = time.Now()
			}
		}
	}
	flood(lasts / 2)
	half := newGauge(t, g.PID)
	flood(lasts - lasts/2)
	half.stop()
	m.stop()
	grown := ownHeap() - heap
	fewest, greatest := int64(a.number), int64(0)
	for i, h := range a.all {
		n, last := h.received.Load(), h.last.Load()
		fewest, greatest = min(fewest, n), max(greatest, n)
		if n == 0 || last < 0 {
			t.Errorf("client %d: %d messages, the last is %d", i, n, last)
		}
	}
	t.Logf("%d broadcasts of 4 KB in %v; %d clients took %d to %d of them; "+
		"the gateway grew by %.1f MiB, in the second half by %.1f MiB; the worker's heap by %.1f MiB",
		a.number, lasts, clients, fewest, greatest, m.growth(), half.growth(), float64(grown)/mib)
	if greatest == int64(a.number) {
		t.Error("nothing was dropped: that was not fast")
	}
	if n := a.worker.Stats().Reconnects; n > 0 {
		t.Errorf("%d links were given up, and broadcasts with them", n)
	}
	if m.growth() > most || half.growth() > more {
		t.Errorf("memory is not bounded by %d MiB, and %d MiB in the second half", most, more)
	}
	if grown > here*mib {
		t.Errorf("the worker's heap is not bounded by %d MiB", here)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cut)+len(a.wrong) > 0 {
		t.Errorf("%d clients were cut, others for %v", len(a.cut), a.wrong)
	}
}

// knock connects a new client, reads one message and disconnects. It reports whether the message
// says that the gateway is overloaded.
func (a *audience) knock(addr string) (turnedAway bool) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		a.t.Error(err)
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	first := make([]byte, 32)
	if _, err := io.ReadFull(conn, first); err != nil {
		a.t.Errorf("a new client receives nothing: %v", err)
	}
	return string(first[4:]) == `{"type":"sluice.overloaded"}`
}

// knockUntil lets new clients knock, one after the other, until one is refused, or until one is
// not. The result becomes true then.
func (a *audience) knockUntil(turnedAway bool, addr string) *atomic.Bool {
	var done atomic.Bool
	a.running.Go(func() {
		for a.knock(addr) != turnedAway && !a.t.Failed() && a.t.Context().Err() == nil {
		}
		done.Store(true)
	})
	return &done
}

// Sixty clients that do not read could hold 60 MiB. With a budget of 16 MiB for all, new clients
// are refused first, then the clients with most unsent output are closed. The process stays
// within its memory, and clients that read miss nothing. When those that do not read have gone,
// new clients are accepted again.
func TestPressureOnTheBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	const slow, budget = 60, 16
	a, g := stage(t, "--overflow", "oldest", "--write-timeout", "-1s", "--reactors", "1",
		"--max-buffered", strconv.Itoa(budget*mib))
	addr := g.Addrs["frame"]
	quick := a.join(g, 5, 0)
	m := newGauge(t, g.PID)
	deaf := a.join(g, slow, -1)
	message := func(int) worker.Message { return worker.Message{} }
	over := a.knockUntil(true, addr)
	first := -1 // how many had been cut when a newcomer was turned away
	a.pace(14*time.Second, message, func() bool {
		if first < 0 && over.Load() {
			first = len(a.cut)
		}
		return first >= 0 && len(a.cut) >= slow/2
	})
	m.stop()
	for _, h := range deaf {
		_ = h.conn.Close()
	}
	again := a.knockUntil(false, addr)
	a.pace(5*time.Second, message, again.Load)
	a.awaitAll(quick)
	a.mu.Lock()
	defer a.mu.Unlock()
	t.Logf("with a budget of %d MiB newcomers were turned away when %d of %d who do not read had been cut, "+
		"%d were in the end; the gateway grew by %.1f MiB", budget, first, slow, len(a.cut), m.growth())
	if first < 0 || !again.Load() {
		t.Errorf("turned away: %v, let in afterwards: %v", first >= 0, again.Load())
	}
	// ReasonNetwork is that of clients that disconnected with unread data.
	wrong := slices.DeleteFunc(a.wrong, func(r worker.Reason) bool { return r == worker.ReasonNetwork })
	if len(a.cut) < slow/2 || len(wrong) > 0 {
		t.Errorf("%d were cut as slow, others for %v", len(a.cut), wrong)
	}
	if m.growth() > 6*budget {
		t.Errorf("the gateway grew by %.1f MiB", m.growth())
	}
}
