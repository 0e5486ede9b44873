package pressure_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/procfs"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/suite"
	"github.com/seed-7410fe32/sluice/worker"
)

// flooder sends numbered lines of 1 KB as fast as they are taken, and checks that each comes back,
// in order.
type flooder struct {
	t        *testing.T
	conn     net.Conn
	in       *bufio.Reader
	sent     atomic.Int64 // lines
	returned atomic.Int64
	over     atomic.Bool
}

func newFlooder(t *testing.T, addr string) *flooder {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &flooder{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// ask sends one line and reports whether the answer comes in time.
func (f *flooder) ask(line string, within time.Duration) bool {
	_ = f.conn.SetDeadline(time.Now().Add(within))
	defer func() { _ = f.conn.SetDeadline(time.Time{}) }()
	if _, err := f.conn.Write([]byte(line + "\n")); err != nil {
		return false
	}
	got, err := f.in.ReadString('\n')
	return err == nil && got == line+"\n"
}

func (f *flooder) flood() {
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for !f.over.Load() {
		copy(line, fmt.Sprintf("%10d ", f.sent.Load()))
		if _, err := f.conn.Write(line); err != nil {
			f.t.Errorf("a client was cut off: %v", err)
			return
		}
		f.sent.Add(1)
	}
}

// listen takes back what was sent.
func (f *flooder) listen() {
	for {
		line, err := f.in.ReadString('\n')
		if err != nil {
			return
		}
		want := f.returned.Load()
		number, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(number); err != nil || int64(n) != want {
			f.t.Errorf("%.40q came in place of line %d", line, want)
			return
		}
		f.returned.Store(want + 1)
	}
}

// flooders are clients whose lines are not read.
type flooders struct {
	all     []*flooder
	running sync.WaitGroup
}

func (f *flooders) start() {
	for _, c := range f.all {
		f.running.Go(c.flood)
	}
}

func (f *flooders) sent() (n int64) {
	for _, c := range f.all {
		n += c.sent.Load()
	}
	return n
}

// settle waits until nothing more is read from any of them.
func (f *flooders) settle(t *testing.T) {
	t.Helper()
	end := time.Now().Add(10 * time.Second)
	last, since := int64(-1), time.Now()
	for poll := time.NewTicker(20 * time.Millisecond); time.Since(since) < 500*time.Millisecond; <-poll.C {
		if n := f.sent(); n != last {
			last, since = n, time.Now()
		}
		if time.Now().After(end) {
			t.Fatal("the reads of clients whose messages nobody takes are not paused")
		}
	}
}

// finish has them stop, and waits until everything has come back.
func (f *flooders) finish(t *testing.T) {
	t.Helper()
	for _, c := range f.all {
		c.over.Store(true)
		go c.listen()
	}
	f.running.Wait()
	end := time.Now().Add(20 * time.Second)
	for _, c := range f.all {
		for c.returned.Load() < c.sent.Load() {
			if time.Now().After(end) || t.Failed() {
				t.Fatalf("%d of %d lines came back", c.returned.Load(), c.sent.Load())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// talkOn has clients that must not be affected ask one after the other for a time. It returns the
// longest that an answer took.
func talkOn(t *testing.T, clients []*flooder, d time.Duration) (longest time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		for i, c := range clients {
			begun := time.Now()
			if !c.ask("still here", 10*time.Second) {
				t.Fatalf("client %d has no answer, though nothing is wrong with its worker", i)
			}
			longest = max(longest, time.Since(begun))
		}
	}
	return longest
}

// unreadLinks opens a worker's links to a gateway. They are never read, and answer heartbeats.
func unreadLinks(t *testing.T, inner string, loops int) (hangUp func()) {
	t.Helper()
	var conns []net.Conn
	for i := range loops {
		conn, err := net.Dial("tcp", inner)
		if err != nil {
			t.Fatal(err)
		}
		hello := link.WorkerHello{Role: link.RoleWorker, Loop: uint16(i), Weight: 100, Window: mib, ID: [16]byte{1}}
		if _, err := link.Connect(conn, nil, hello); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for beat := time.NewTicker(200 * time.Millisecond); ctx.Err() == nil; <-beat.C {
			for _, conn := range conns {
				_, _ = conn.Write(link.Append(nil, &link.Frame{Type: link.Ping, ID: 9}))
			}
		}
	})
	hangUp = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	t.Cleanup(hangUp)
	return hangUp
}

// office is an echo that knows its clients. Lines of a flood it holds back until it is released.
type office struct {
	release chan struct{}
	mu      sync.Mutex
	known   map[string]bool // guarded by mu: by remote address
}

func newOffice() *office { return &office{release: make(chan struct{}), known: make(map[string]bool)} }

func (o *office) handler() worker.Handler {
	return worker.Handler{Connect: o.welcome, Message: o.message}
}

func (o *office) welcome(_ context.Context, c worker.Call) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known[c.RemoteAddr().String()] = true
	return nil
}

func (o *office) message(_ context.Context, c worker.Call, m worker.Message) error {
	if bytes.HasPrefix(m.Data, []byte(" ")) {
		<-o.release
	}
	c.Send(m)
	return nil
}

// has reports whether the client is one of the worker's.
func (o *office) has(c *flooder) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known[c.conn.LocalAddr().String()]
}

// connect opens clients and waits until the worker knows as many of them.
func (o *office) connect(t *testing.T, addr string, clients, known int) (all []*flooder) {
	t.Helper()
	for range clients {
		all = append(all, newFlooder(t, addr))
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		o.mu.Lock()
		n := len(o.known)
		o.mu.Unlock()
		if n == known {
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("the worker has %d clients, not %d", n, known)
		}
	}
}

// When a worker does not read, the reads of its clients pause: the gateway's memory stays flat,
// and the clients of the other worker are not affected. When it disconnects, the other worker
// handles everything that its clients sent, in order.
func TestPressureOfAWorkerThatDoesNotRead(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	// One loop: each worker gets half of the clients.
	g := proctest.Start(t, nil, proctest.Build(t), "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "1")
	hangUp := unreadLinks(t, g.Addrs["inner"], 1)
	o := newOffice()
	close(o.release)
	// The answer comes from the loop, so the loop has the link now.
	if _, err := runWorker(t, g.Addrs["inner"], o.handler()).Count(t.Context(), worker.Everyone()); err != nil {
		t.Fatal(err)
	}
	var deaf flooders
	var others []*flooder
	for _, c := range o.connect(t, g.Addrs["text"], 40, 20) {
		if o.has(c) {
			others = append(others, c)
		} else {
			deaf.all = append(deaf.all, c)
		}
	}
	m := newGauge(t, g.PID)
	spell := time.Duration(suite.Of(t, 1, 3, "seconds of talk beside it")) * time.Second
	quiet := talkOn(t, others, spell/3)
	deaf.start()
	deaf.settle(t)
	full := procfs.Resident(g.PID)
	longest := talkOn(t, others, spell)
	flat := float64(procfs.Resident(g.PID)-full) / mib
	t.Logf("%d clients of a worker that reads nothing sent %.1f MiB before their reads were paused; "+
		"the gateway grew by %.1f MiB, and in the next %v by %.1f MiB; "+
		"the longest answer to others took %v, before it %v",
		len(deaf.all), float64(deaf.sent())/1024, m.growth(), spell, flat, longest.Round(time.Millisecond),
		quiet.Round(time.Millisecond))
	if m.growth() > 64 || flat > 16 {
		t.Error("memory is not bounded")
	}
	hangUp()
	deaf.finish(t)
}

// When handlers do not return, the reads of their clients pause: the memory of gateway and
// worker stays flat, and other clients are served. When they return in the end, everything that
// was sent is handled, in order.
func TestPressureOfStuckHandlers(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	g := proctest.Start(t, nil, proctest.Build(t), "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "2")
	o := newOffice()
	release := sync.OnceFunc(func() { close(o.release) })
	runWorker(t, g.Addrs["inner"], o.handler())
	t.Cleanup(release)
	all := o.connect(t, g.Addrs["text"], 80, 80)
	// These are more clients than the windows have room for, if each has as many unacknowledged
	// messages as it may.
	stuck, others := flooders{all: all[:60]}, all[60:]
	m := newGauge(t, g.PID)
	spell := time.Duration(suite.Of(t, 1, 2, "seconds of each spell")) * time.Second
	quiet := talkOn(t, others, spell/2)
	heap := ownHeap()
	stuck.start()
	stuck.settle(t)
	longest := talkOn(t, others, spell) // the buffers of what was sent to the worker find their size
	full := procfs.Resident(g.PID)
	grown := ownHeap() - heap
	longest = max(longest, talkOn(t, others, spell))
	flat := float64(procfs.Resident(g.PID)-full) / mib
	t.Logf("%d clients of handlers that do not return sent %.1f MiB before their reads were paused; "+
		"the gateway grew by %.1f MiB, in the last %v by %.1f MiB; the worker's heap by %.1f MiB; "+
		"the longest answer to others took %v, before it %v",
		len(stuck.all), float64(stuck.sent())/1024, m.growth(), spell, flat, float64(grown)/mib,
		longest.Round(time.Millisecond), quiet.Round(time.Millisecond))
	if m.growth() > 192 || grown > 32*mib {
		t.Error("memory is not bounded")
	}
	release()
	stuck.finish(t)
}

// ownHeap is what is live in the heap of this process.
func ownHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
