package gateway

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// rush is a gateway of one loop with a worker that handles a number of messages in each turn, and
// clients of several formats.
type rush struct {
	t        *testing.T
	g        gate
	l        *loop
	k        *workerLink
	worker   *enginetest.Peer
	deflate  *codec.Deflate
	in       []byte              // at the worker, not handled yet
	received map[uint32][]string // by slot: what the worker has handled
	held     int                 // maximum of queued bytes
	longest  int                 // work of a turn
}

func newRush(t *testing.T, cfg Config, window uint32) *rush {
	t.Helper()
	cfg.Loops, cfg.Logger = 1, slog.New(slog.DiscardHandler)
	g := newGate(t, cfg)
	g.g.started = time.Now()
	l := g.g.loops[0]
	k := newWorkerLink(l, link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: window, ID: [16]byte{1}})
	r := &rush{t: t, g: g, l: l, k: k, deflate: codec.NewDeflate(), received: make(map[uint32][]string)}
	r.worker = g.sim.Open(0, netip.AddrPort{}, k,
		engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: maxLinkOutput(window), Retain: true})
	r.worker.Limit(64 << 20)
	return r
}

// rushClient is a client of a format, "text" or "ws".
type rushClient struct {
	*enginetest.Peer
	s  *session
	ws *codec.WebSocket
}

func (r *rush) client(format string) *rushClient {
	r.t.Helper()
	lis := *r.g.lis
	lis.codec = codec.Text{MaxMessage: 4 << 20}
	c := &rushClient{s: &session{lis: &lis}}
	if format == "ws" {
		lis.codec = nil
		lis.URL = "ws://127.0.0.1:0"
		lis.upgrade = codec.UpgradeOptions{MaxMessage: 4 << 20, Deflate: r.deflate}
	}
	c.Peer = r.g.sim.Open(0, netip.AddrPort{}, c.s, engine.ConnOptions{MaxOutput: 16 << 20})
	if format == "ws" {
		key, o := codec.NewKey(), &codec.DialOptions{MaxMessage: 4 << 20, Deflate: codec.NewDeflate()}
		c.Send(codec.AppendUpgrade(nil, "127.0.0.1", "/", key, o))
		c.Read(16 << 10)
		r.turn(1)
		ws, n, err := codec.ReadResponse(c.Take(), key, o)
		if err != nil || n == 0 {
			r.t.Fatalf("upgrade: %d bytes, %v", n, err)
		}
		c.ws = ws
	}
	r.turn(1)
	return c
}

func (c *rushClient) say(text string) {
	if c.ws != nil {
		c.Send(c.ws.Append(nil, []byte(text), true))
		return
	}
	c.Send([]byte(text + "\n"))
}

// turn is a turn of the loop: it reads what all clients have sent, then the worker handles at most
// that many messages, one by one.
func (r *rush) turn(messages int, clients ...*rushClient) {
	r.t.Helper()
	for _, c := range clients {
		c.Read(128 << 10)
	}
	r.g.sim.Turn(0)
	r.longest, r.held = max(r.longest, r.l.turns.work), max(r.held, r.l.book.QueuedBytes())
	r.in = append(r.in, r.worker.Take()...)
	var out []byte
	for len(r.in) > 0 && messages > 0 {
		var f link.Frame
		n, err := link.Next(r.in, link.MaxFrame, &f)
		if n == 0 || err != nil {
			break
		}
		if f.Type == link.Message {
			messages--
			r.received[f.Slot] = append(r.received[f.Slot], string(f.Payload[:min(len(f.Payload), 16)]))
		}
		if ack := AckOf(&f); ack != nil {
			out = link.Append(out, ack)
		}
		r.in = r.in[n:]
	}
	if len(out) > 0 {
		r.worker.Send(out)
		for r.worker.Read(1 << 20) {
		}
	}
}

// Clients whose messages are small on the wire and large in memory do not hold up a client that
// sends little: its message is at the worker in the same turn, or waits only for a few messages of
// the others. And turns are short.
func TestInflatedMessagesDelayNoOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const heavies, each, size, bound = 40, 8, 256 << 10, 2 << 20
		r := newRush(t, Config{MaxQueueBytes: bound, MaxUnroutedBytes: 1}, 1<<20)
		var all []*rushClient
		text, ws := r.client("text"), r.client("ws")
		light := []*rushClient{text, ws}
		ws.say("first")
		r.turn(100, ws)
		for range heavies {
			all = append(all, r.client("ws"))
		}
		for _, c := range all {
			for i := range each {
				c.say(fmt.Sprintf("%015d ", i) + string(bytes.Repeat([]byte("a"), size)))
			}
		}
		all = append(all, light...)
		said := 0
		done := func() (n int) {
			for _, c := range all[:heavies] {
				n += len(r.received[c.s.delivery.Slot])
			}
			return n
		}
		for turns := 0; done() < heavies*each; turns++ {
			if turns > 100*heavies*each {
				t.Fatalf("%d of %d messages have been handled", done(), heavies*each)
			}
			if turns%16 == 0 {
				said++
				before := done()
				for _, c := range light {
					c.say("little")
				}
				came := func(c *rushClient) int { return len(r.received[c.s.delivery.Slot]) }
				for waited := 0; came(text) < said || came(ws) < 1+said; waited++ {
					if r.turn(1, all...); waited > 64 {
						t.Fatalf("after %d turns and %d large messages a small one was not handled: text %d, websocket %d of %d",
							waited, done()-before, len(r.received[text.s.delivery.Slot]), len(r.received[ws.s.delivery.Slot])-1, said)
					}
				}
				if n := done() - before; n > 2*1<<20/size+4 { // what was at the worker before, for each of the two
					t.Errorf("%d of the large messages were handled before a small one", n)
				}
			}
			r.turn(1, all...)
		}
		if most := loopTurn + size + clientTurn; r.longest > most {
			t.Errorf("a turn did work for %d bytes, at most %d are meant", r.longest, most)
		}
		for _, c := range all[:heavies] {
			for i, got := range r.received[c.s.delivery.Slot] {
				if got != fmt.Sprintf("%015d ", i) {
					t.Fatalf("message %d of a client is %q", i, got)
				}
			}
		}
		if s := r.l.book; s.MessagesRejected > 0 || r.l.book.QueuedBytes()+r.l.turns.waiting > 0 {
			t.Errorf("%d messages were refused, %d bytes wait, %d clients for their turn", s.MessagesRejected,
				r.l.book.QueuedBytes(), r.l.turns.waiting)
		}
		if most := bound + bound/4 + size; r.held > most {
			t.Errorf("%d bytes waited in queues, at most %d are meant", r.held, most)
		}
	})
}

// With a worker connected, however slow, no message is rejected: clients are paused, and the queues
// are bounded. All messages arrive in the end, in order.
func TestMoreThanTheCreditIsNotRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients, each, size, bound = 100, 20, 16_000, 256 << 10
		r := newRush(t, Config{MaxQueueBytes: bound, MaxUnroutedBytes: 1, QueueTimeout: time.Second}, 64<<10)
		var all []*rushClient
		for range clients {
			all = append(all, r.client("text"))
		}
		for _, c := range all {
			for i := range each {
				c.say(fmt.Sprintf("%015d ", i) + string(bytes.Repeat([]byte("b"), size-16)))
			}
		}
		for handled, turns := 0, 0; handled < clients*each; turns++ {
			if turns > 100*clients*each {
				t.Fatalf("%d of %d messages have been handled", handled, clients*each)
			}
			r.turn(1, all...)
			handled = 0
			for _, c := range all {
				handled += len(r.received[c.s.delivery.Slot])
			}
			if r.l.book.QueuedBytes() > bound+clients*lightWork+size {
				t.Fatalf("%d bytes wait in queues", r.l.book.QueuedBytes())
			}
			if turns%100 == 0 {
				time.Sleep(200 * time.Millisecond) // in total, longer than QueueTimeout
			}
		}
		for _, c := range all {
			for i, got := range r.received[c.s.delivery.Slot] {
				if got != fmt.Sprintf("%015d ", i) {
					t.Fatalf("message %d of a client is %q", i, got)
				}
			}
			if c.s.pauses != 0 || len(r.received[c.s.delivery.Slot]) != each {
				t.Fatalf("a client of which %d messages came is paused for %b", len(r.received[c.s.delivery.Slot]), c.s.pauses)
			}
		}
		if s := r.l.book; s.MessagesRejected > 0 || s.QueueFull == 0 || r.l.book.QueuedBytes() > 0 {
			t.Errorf("%d refused, queues full %d times, %d bytes wait", s.MessagesRejected, s.QueueFull, r.l.book.QueuedBytes())
		}
	})
}

// A client that floods with small messages has its share of a turn, and no more.
func TestAFloodHasItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{MaxUnacked: 16 << 20}, 64<<20)
		flood, quiet := r.client("text"), r.client("text")
		const messages = 100_000
		flood.Send(bytes.Repeat([]byte("x\n"), messages))
		handled := func() int { return len(r.received[flood.s.delivery.Slot]) }
		for said := 0; handled() < messages; said++ {
			before := r.l.stats.MessagesIn
			quiet.say("quiet")
			r.turn(messages, flood, quiet)
			if n := r.l.stats.MessagesIn - before; n > 2*clientTurn/messageWork {
				t.Fatalf("a turn took %d messages", n)
			}
			if n := len(r.received[quiet.s.delivery.Slot]); n != said+1 {
				t.Fatalf("%d of %d messages of the other client have come", n, said+1)
			}
		}
	})
}

// The inflated size of a compressed message counts against the rate.
func TestTheRateCountsInflatedBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{}, 64<<20)
		c := r.client("ws")
		c.s.lis.ByteRate = 100_000
		c.s.limit()
		for range 10 {
			c.say(string(bytes.Repeat([]byte("c"), 100_000))) // some 100 bytes on the wire
		}
		r.turn(10, c)
		for range 4 {
			r.turn(10)
		}
		if n := len(r.received[c.s.delivery.Slot]); n < 2 || n > 4 {
			t.Errorf("%d of 10 messages were taken at once, each of a second at the rate; two seconds' are meant", n)
		}
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			r.turn(10, c)
		}
		if n := len(r.received[c.s.delivery.Slot]); n != 10 {
			t.Errorf("%d of 10 messages were taken in the end", n)
		}
	})
}

// A link is not closed while input of its worker is unread, however late the gateway reads it.
func TestABusyGatewayCutsNoLink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{}, 64<<20)
		r.worker.Read(1 << 20)
		for range 5 { // each turn takes longer than two heartbeats
			time.Sleep(3 * time.Second)
			r.worker.Send(link.Append(nil, &link.Frame{Type: link.Pong}))
			r.g.sim.Turn(0)
			r.g.sim.Turn(0)
			if r.k.ended {
				t.Fatal("a worker that answers was cut")
			}
		}
		for r.worker.Read(1 << 20) {
		}
		for range 40 {
			time.Sleep(100 * time.Millisecond)
			r.g.sim.Turn(0)
		}
		if !r.k.ended {
			t.Error("a worker that says nothing was not cut")
		}
	})
}
