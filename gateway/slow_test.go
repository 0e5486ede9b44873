package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// publisher is a link that publishes to all clients and reads nothing.
type publisher struct{ *fakeLink }

func newPublisher(t testing.TB, g *gateway.Gateway) publisher {
	return publisher{asks(t, g, dialWorker(t, g.WorkerAddr(), nil,
		link.WorkerHello{Role: link.RoleWorker, Window: 1 << 20, ID: [16]byte{1}})).links[0]}
}

// asks drains the worker of a link, so that it gets no clients and can still send commands.
func asks(t testing.TB, g *gateway.Gateway, w *fakeWorker) *fakeWorker {
	t.Helper()
	drain := g.Stats().WorkersDraining + 1
	for _, l := range w.links {
		l.write(&link.Frame{Type: link.Drain})
	}
	wait(t, "the drain", func() bool { return g.Stats().WorkersDraining == drain })
	return w
}

// admitClients waits for a number of clients and admits them.
func admitClients(t testing.TB, g *gateway.Gateway, clients int) {
	t.Helper()
	w := dialWorker(t, g.WorkerAddr(), nil, link.WorkerHello{Role: link.RoleWorker, Weight: 1, Window: 1 << 20,
		ID: [16]byte{2}})
	for range clients {
		w.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
	}
	for _, l := range w.links {
		l.ack()
	}
	w.barrier(1)
}

// publish sends text to all clients, conflated if it has a key.
func (p publisher) publish(flags uint8, key, text string) {
	b := link.AppendIDs[link.ClientID](link.AppendList[string](nil, nil), nil)
	if key != "" {
		b = link.AppendBytes(b, key)
		flags |= link.FlagLatest
	}
	p.write(&link.Frame{Type: link.Publish, Flags: link.FlagText | flags, Payload: append(b, text...)})
}

// long is a text of n bytes that begins with a word and does not compress well.
func long(word string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s ", word)
	for x := uint32(len(word) + 1); b.Len() < n; x = x*1664525 + 1013904223 {
		b.WriteByte(byte('A' + x>>27))
	}
	return b.String()
}

// lazyClient reads nothing until the test lets it.
func lazyClient(t testing.TB, url string) (c *fakeClient, read func()) {
	c = &fakeClient{t: t, conn: dial(t, hostport(url)), received: make(chan string, 1<<17), deflate: codec.NewDeflate()}
	_ = c.conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	var in []byte
	if c.codec = plainCodec(url); c.codec == nil {
		in = c.upgrade(hostport(url), "/")
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = c.conn.Close() })
	return c, func() {
		go func() {
			defer close(done)
			c.read(in)
		}()
		t.Cleanup(func() { _ = c.conn.Close(); <-done })
	}
}

// A client that does not read receives, when it reads again, all messages that must not be dropped
// and the newest message of each key, in order and whole. This holds in every format: a compressed
// message does not depend on dropped ones. All other clients receive everything.
func TestTheLatestOfAKeyWaits(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"text://127.0.0.1:0", "frame://127.0.0.1:0", "ws://127.0.0.1:0"} {
		t.Run(url[:4], func(t *testing.T) {
			t.Parallel()
			g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: url, Compress: true, WriteTimeout: -1}}})
			p := newPublisher(t, g)
			slow, read := lazyClient(t, g.Addrs()[0])
			quick := dialClient(t, g.Addrs()[0])
			admitClients(t, g, 2)
			const keys, size = 3, 16 << 10
			rounds := 0
			for ; g.Stats().Conflated < 20; rounds++ { // the kernel buffers some megabytes first
				for key := range keys {
					p.publish(0x10, "key"+strconv.Itoa(key), long(fmt.Sprintf("key%d %d", key, rounds), size))
				}
				p.publish(0, "", "note "+strconv.Itoa(rounds))
				for key := range keys { // at once: fast clients have no output waiting
					if got, want := quick.receive(), fmt.Sprintf("key%d %d ", key, rounds); !strings.HasPrefix(got, want) {
						t.Fatalf("the quick client receives %.20q in place of %q", got, want)
					}
				}
				if got := quick.receive(); got != "note "+strconv.Itoa(rounds) {
					t.Fatalf("the quick client receives %.20q", got)
				}
			}
			p.publish(0, "", "end")
			read()
			conflated, last, notes := 0, map[string]int{}, 0
			for got := slow.receive(); got != "end"; got = slow.receive() {
				word, rest, _ := strings.Cut(got, " ")
				number, _, _ := strings.Cut(rest, " ")
				n, err := strconv.Atoi(number)
				switch {
				case err != nil:
					t.Fatalf("the slow client receives %.40q", got)
				case word == "note":
					if n != notes {
						t.Fatalf("note %d came in place of %d", n, notes)
					}
					notes++
				default:
					if n < last[word] || n+1 < notes {
						t.Fatalf("%s: %d after %d and note %d", word, n, last[word], notes-1)
					}
					conflated += n - last[word]
					last[word] = n + 1
				}
			}
			if notes != rounds || len(last) != keys {
				t.Errorf("%d of %d notes, and %d keys", notes, rounds, len(last))
			}
			for key, next := range last {
				if next != rounds {
					t.Errorf("%s: the newest that came is %d of %d", key, next-1, rounds)
				}
			}
			if s := g.Stats(); s.Conflated != uint64(conflated) || s.DroppedOldest+s.DroppedNewest+s.SlowConsumerCloses > 0 {
				t.Errorf("%d are missing; %+v", conflated, s.SlowConsumerStats)
			}
		})
	}
}

// Broadcasts that come faster than a client reads are dropped according to its listener: the
// gateway keeps MaxOutput for it, all missing messages are counted, and the others are in order.
func TestBroadcastsFasterThanAClient(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]engine.Overflow{"oldest": engine.DropOldest, "newest": engine.DropNewest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const bound = 256 << 10
			g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "frame://127.0.0.1:0", MaxOutput: bound,
				Overflow: policy, WriteTimeout: -1}}})
			p := newPublisher(t, g)
			slow, read := lazyClient(t, g.Addrs()[0])
			admitClients(t, g, 1)
			count := 0
			dropped := func() int { s := g.Stats(); return int(s.DroppedOldest + s.DroppedNewest) }
			for dropped() < 500 {
				for range 100 {
					p.publish(0, "", long(strconv.Itoa(count), 8<<10))
					count++
				}
				if s := g.Stats(); s.BufferedBytes > bound {
					t.Fatalf("%d bytes wait", s.BufferedBytes)
				}
			}
			read()
			wait(t, "what waited", func() bool { return g.Stats().BufferedBytes == 0 })
			p.publish(0, "", "end")
			came, last := 0, -1
			for got := slow.receive(); got != "end"; got = slow.receive() {
				number, _, _ := strings.Cut(got, " ")
				n, err := strconv.Atoi(number)
				if err != nil || n <= last {
					t.Fatalf("%.20q after %d", got, last)
				}
				last = n
				came++
			}
			if came+dropped() != count {
				t.Errorf("%d came and %d were dropped of %d", came, dropped(), count)
			}
		})
	}
}

// A message may itself decide what happens if its client has no space for it: it is dropped, and
// the sender is told, or the client is closed.
func TestAMessageSaysWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "frame://127.0.0.1:0",
		Overflow: engine.DropNewest, WriteTimeout: -1}}})
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	_, _ = lazyClient(t, g.Addrs()[0])
	_, f := w.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
	send := func(id uint32, flags uint8, size int) {
		w.links[0].write(&link.Frame{Type: link.Send, Flags: flags, ID: id, Slot: f.Slot, Token: f.Token,
			Payload: make([]byte, size)})
	}
	status := func(id uint32, flags uint8) link.Status {
		send(id, flags|link.FlagResult, 100<<10)
		_, r := w.take("reply", func(_ int, f *link.Frame) bool { return f.Type == link.Reply && f.ID == id })
		return link.Status(r.Code)
	}
	id := uint32(0)
	next := func(flags uint8) link.Status {
		id++
		return status(id, flags)
	}
	for g.Stats().BufferedBytes < 1<<20-150<<10 {
		if got := next(0x10); got != link.OK {
			t.Fatalf("with room: %v", got)
		}
	}
	for g.Stats().DroppedNewest == 0 {
		_ = next(0)
	}
	if got := next(0); got != link.Refused {
		t.Errorf("dropped by the listener's policy: %v", got)
	}
	if got := next(0x30); got != link.Refused {
		t.Errorf("dropped by its own: %v", got)
	}
	send(0, 0x10, 100<<10) // the one before it may be dropped for it
	send(0, 0x10, 100<<10)
	_, d := w.take("detach", func(_ int, f *link.Frame) bool { return f.Type == link.Detach })
	if link.Reason(d.Code) != link.ReasonSlowConsumer || g.Stats().SlowConsumerCloses != 1 {
		t.Errorf("closed: %v, %+v", link.Reason(d.Code), g.Stats().SlowConsumerStats)
	}
}

// A client that reads nothing is closed whatever the policy, and its worker gets the reason.
func TestAStalledClientIsClosed(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0",
		Overflow: engine.DropOldest, WriteTimeout: 300 * time.Millisecond}}})
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	_, _ = lazyClient(t, g.Addrs()[0])
	_, f := w.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
	line := bytes.Repeat([]byte("x"), 64<<10)
	for g.Stats().BufferedBytes == 0 {
		w.links[0].write(&link.Frame{Type: link.Send, Slot: f.Slot, Token: f.Token, Payload: line})
	}
	_, d := w.take("detach", func(_ int, f *link.Frame) bool { return f.Type == link.Detach })
	if link.Reason(d.Code) != link.ReasonSlowConsumer {
		t.Errorf("closed: %v", link.Reason(d.Code))
	}
	if s := g.Stats(); s.WriteTimeoutCloses != 1 || s.SlowConsumerCloses+s.MemoryLimitCloses != 0 {
		t.Errorf("%+v", s.SlowConsumerStats)
	}
}

// When the output of slow clients reaches the limit, those with most output are closed until enough
// is free.
func TestMemoryLimitClosesTheLargest(t *testing.T) {
	t.Parallel()
	const bound = 4 << 20
	g, _ := start(t, gateway.Config{MaxBuffered: bound,
		Listeners: []gateway.ListenerConfig{{URL: "frame://127.0.0.1:0", Overflow: engine.DropNewest, WriteTimeout: -1}}})
	p := newPublisher(t, g)
	const clients = 8 // each may have 1 MiB
	for range clients {
		_, _ = lazyClient(t, g.Addrs()[0])
	}
	quick := dialClient(t, g.Addrs()[0])
	admitClients(t, g, clients+1)
	for i := 0; g.Stats().MemoryLimitCloses == 0; i++ {
		p.publish(0, "", long(strconv.Itoa(i), 32<<10))
		if got := quick.receive(); !strings.HasPrefix(got, strconv.Itoa(i)+" ") {
			t.Fatalf("the quick client receives %.20q in place of %d", got, i)
		}
		if s := g.Stats(); s.BufferedBytes > bound {
			t.Fatalf("%d bytes wait", s.BufferedBytes)
		}
	}
	if s := g.Stats(); s.MemoryLimitCloses > clients/2 || s.BufferedBytes < bound/2 {
		t.Errorf("more was cut than needed: %+v", s.SlowConsumerStats)
	}
}

// Before a client is closed because of the memory limit, new clients are refused and told why,
// until enough is free. Existing clients are not affected.
func TestNewClientsAreRefusedFirst(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Loops: 1, MaxBuffered: 4 << 20, Listeners: []gateway.ListenerConfig{
		{URL: "frame://127.0.0.1:0", Overflow: engine.DropNewest, WriteTimeout: -1}, {URL: "text://127.0.0.1:0"},
		{URL: "ws://127.0.0.1:0"},
	}})
	p := newPublisher(t, g)
	const clients = 6 // each may have 1 MiB
	var reads []func()
	for range clients {
		_, read := lazyClient(t, g.Addrs()[0])
		reads = append(reads, read)
	}
	quick := dialClient(t, g.Addrs()[0])
	admitClients(t, g, clients+1)
	talk := func(i int) {
		p.publish(0, "", long(strconv.Itoa(i), 16<<10))
		if got := quick.receive(); !strings.HasPrefix(got, strconv.Itoa(i)+" ") {
			t.Fatalf("the quick client receives %.20q in place of %d", got, i)
		}
	}
	n := 0
	for ; g.Stats().Overloaded == 0; n++ {
		talk(n)
	}
	newcomer := dialClient(t, g.Addrs()[1])
	for _, want := range []string{`{"type":"sluice.overloaded"}`, "closed"} {
		if got := newcomer.receive(); got != want {
			t.Errorf("a newcomer receives %q, not %q", got, want)
		}
	}
	upgrading := dial(t, hostport(g.Addrs()[2]))
	_, _ = upgrading.Write(codec.AppendUpgrade(nil, "x", "/", codec.NewKey(), &codec.DialOptions{}))
	if b, err := io.ReadAll(upgrading); !strings.HasPrefix(string(b), "HTTP/1.1 503") {
		t.Errorf("a newcomer with a WebSocket receives %q, %v", b, err)
	}
	talk(n)
	if s := g.Stats(); s.LoadShed != 2 || s.HandshakesRejected != 2 || s.OverloadEvents != 1 || s.MemoryLimitCloses > 0 ||
		s.Clients != clients+1 || s.ClosesByReason["limit"] != 1 {
		t.Errorf("%+v", s.LoopStats)
	}
	for _, read := range reads {
		read()
	}
	wait(t, "what waits to be gone", func() bool { return g.Stats().Overloaded == 0 })
	dialClient(t, g.Addrs()[1])
	dialClient(t, g.Addrs()[2])
	wait(t, "newcomers", func() bool { return g.Stats().Clients == clients+3 })
}
