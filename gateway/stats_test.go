package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// hangs is a Router that blocks until the test releases it.
type hangs struct{ began, end chan struct{} }

func (h hangs) Pick(gateway.RouteRequest, []gateway.Candidate) int {
	h.began <- struct{}{}
	<-h.end
	return 0
}

// The figures of a loop that is busy or has stopped are those of its last answer, so that no
// counter goes back.
func TestFiguresOfABusyLoop(t *testing.T) {
	t.Parallel()
	h := hangs{make(chan struct{}), make(chan struct{})}
	defer close(h.end) // also when the test fails: a gateway ends after its loops
	cfg := gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		Router: func() gateway.Router { return h }}
	g, stop := start(t, cfg)
	dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	dial(t, hostport(g.Addrs()[0]))
	<-h.began
	h.end <- struct{}{}
	wait(t, "the client", func() bool { return g.Stats().Opened == 1 })
	dial(t, hostport(g.Addrs()[0]))
	<-h.began
	if s := g.Stats(); s.Opened != 1 || s.Clients != 1 || s.Workers != 1 || len(s.Loops) != 1 || s.Loops[0].Opened != 1 {
		t.Errorf("while it is busy: %+v", s)
	}
	h.end <- struct{}{}
	wait(t, "both", func() bool { return g.Stats().Opened == 2 })
	stop()
	if s := g.Stats(); s.Opened != 2 || s.Closed != 2 || s.ClosesByReason["draining"] != 2 {
		t.Errorf("when it has ended: %+v", s)
	}
}

// A worker counts once, however many loops it has links to, and whatever it does there.
func TestWorkersCountOnce(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Loops: 3, Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	figures := func(workers, draining, links int) {
		t.Helper()
		var s gateway.Stats
		if !eventually(func() bool {
			s = g.Stats()
			return s.Workers == workers && s.WorkersDraining == draining && s.Links == links
		}) {
			t.Fatalf("%d workers, %d that drain, %d links", s.Workers, s.WorkersDraining, s.Links)
		}
	}
	hello := func(id byte) link.WorkerHello {
		return link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: 1 << 20, ID: [16]byte{id}}
	}
	one := dialWorker(t, g.WorkerAddr(), nil, hello(1))
	figures(1, 0, 3)
	two := dialWorker(t, g.WorkerAddr(), nil, hello(2))
	figures(2, 0, 6)
	for _, l := range one.links {
		l.write(&link.Frame{Type: link.Drain})
	}
	figures(1, 1, 6)
	two.die()
	figures(0, 1, 3)
}

// MessagesOut counts messages that connections accepted. It does not count messages that a format
// cannot carry, dropped messages, or the gateway's own.
func TestMessagesOut(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{QueueTimeout: time.Hour,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0", Heartbeat: 50 * time.Millisecond,
			MaxMissedPings: 255, Ping: "ping"}}})
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	c := dialClient(t, g.Addrs()[0])
	f := w.letIn()
	if got := c.receive(); got != "ping" {
		t.Fatal(got)
	}
	send := link.Frame{Type: link.Send, Flags: link.FlagText, Slot: f.Slot, Token: f.Token, Payload: []byte("two\nlines")}
	w.links[0].write(&send)
	publisher{w.links[0]}.publish(0, "", "two\nlines")
	publisher{w.links[0]}.publish(0, "", "one")
	send.Payload = []byte("two")
	w.links[0].write(&send)
	for received := 0; received < 2; {
		if got := c.receive(); got != "ping" {
			received++
		}
	}
	if s := g.Stats(); s.MessagesOut != 2 || s.EncodeErrors != 2 {
		t.Errorf("%d out, %d unsendable; want 2 and 2", s.MessagesOut, s.EncodeErrors)
	}
}

// The time of a message ends when its worker has acknowledged it, without another message.
func TestMessageTime(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	c := dialClient(t, g.Addrs()[0])
	w.letIn()
	const messages = 64
	_, _ = c.conn.Write([]byte(strings.Repeat("text\n", messages)))
	for range messages {
		w.take("a message", func(_ int, f *link.Frame) bool { return f.Type == link.Message })
	}
	w.barrier(7)
	samples := func() (n uint64) {
		for _, bucket := range g.Stats().MessageTime.Counts {
			n += bucket
		}
		return n
	}
	if n := samples(); n != 0 {
		t.Errorf("%d samples before the message is handled", n)
	}
	w.links[0].ack()
	wait(t, "a sample", func() bool { return samples() == 1 })
	if s := g.Stats(); s.MessageTime.Sum <= 0 || s.HandlingTime.Sum != s.MessageTime.Sum {
		t.Errorf("%+v", s.MessageTime)
	}
}

// Failed pages, pages that are too large, and unfinished handshakes are counted.
func TestPagesAndHandshakesAreCounted(t *testing.T) {
	t.Parallel()
	size := map[string]int{"/most": 512 << 10, "/more": 512<<10 + 1}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("no page")
		}
		_, _ = w.Write(make([]byte, size[r.URL.Path]))
	})
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0", Page: page,
		HandshakeTimeout: time.Second}}})
	for path, want := range map[string]int{"/most": 200, "/more": 500, "/panic": 500} {
		r, err := http.Get("http://" + hostport(g.Addrs()[0]) + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, r.StatusCode, want)
		}
	}
	if s := g.Stats(); s.Pages != 3 || s.PageErrors != 2 {
		t.Errorf("%d pages, %d failed", s.Pages, s.PageErrors)
	}
	_, _ = dial(t, hostport(g.Addrs()[0])).Write([]byte("GET / HT"))
	wait(t, "the cut", func() bool { return g.Stats().HandshakeTimeouts == 1 })
	if n := g.Stats().ClosesByReason["handshake"]; n != 1 {
		t.Errorf("%d ends", n)
	}
}
