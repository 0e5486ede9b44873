package gateway_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// ledger records what workers saw of each client, in order.
type ledger struct {
	mu    sync.Mutex
	next  map[string]int // guarded by mu: the number that each client's next message must have
	wrong []string       // guarded by mu
	seen  int            // guarded by mu
}

// serve is a worker on one link. It records each message and then acknowledges it, until the link
// ends.
func (b *ledger) serve(conn net.Conn) {
	for r := bufio.NewReader(conn); ; {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		switch f.Type {
		case link.Ping:
			_, _ = conn.Write(link.Append(nil, &link.Frame{Type: link.Pong, ID: f.ID}))
			continue
		case link.Message:
			b.enter(string(f.Payload))
		}
		if ack := gateway.AckOf(&f); ack != nil {
			_, _ = conn.Write(link.Append(nil, ack))
		}
	}
}

func (b *ledger) enter(message string) {
	var client string
	var n int
	_, _ = fmt.Sscanf(message, "%s %d", &client, &n)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next[client] != n {
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %d where %d is due", client, n, b.next[client]))
	}
	b.next[client] = n + 1
	b.seen++
}

func (b *ledger) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}

// Workers come and drain while clients send, with windows and limits so small that every queue is
// used. Each message arrives once and in order.
func TestHandOversLoseNothing(t *testing.T) {
	t.Parallel()
	const clients, messages, workers = 20, 400, 12
	g, _ := start(t, gateway.Config{
		Loops: 2, MaxUnacked: 300, Router: gateway.RoundRobin,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
	})
	b := &ledger{next: map[string]int{}}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	join := func(i int) (conns []net.Conn) {
		for loop := range uint16(2) {
			conn := dial(t, g.WorkerAddr())
			hello := link.WorkerHello{Role: link.RoleWorker, Loop: loop, Weight: 100, Window: uint32(200 + 100*(i%3)),
				ID: [16]byte{byte(i + 1)}}
			if _, err := link.Connect(conn, nil, hello); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			all.Go(func() { b.serve(conn) })
			conns = append(conns, conn)
		}
		return conns
	}
	now := join(0)
	for i := range clients {
		conn := dial(t, hostport(g.Addrs()[0]))
		all.Go(func() {
			for n := range messages {
				if _, err := fmt.Fprintf(conn, "client%d %d\n", i, n); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
			}
		})
	}
	for i := 1; i < workers; i++ {
		wait(t, "a share of the messages", func() bool { return b.count() >= i*clients*messages/workers })
		old := now
		now = join(i)
		for _, conn := range old {
			_, _ = conn.Write(link.Append(nil, &link.Frame{Type: link.Drain}))
		}
	}
	wait(t, "all messages", func() bool { return b.count() >= clients*messages })
	wait(t, "nothing waiting", func() bool { return g.Stats().QueuedBytes == 0 })
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) > 0 || b.seen != clients*messages {
		t.Errorf("%d of %d messages; out of order: %d, the first %v", b.seen, clients*messages, len(b.wrong),
			b.wrong[:min(3, len(b.wrong))])
	}
	if s := g.Stats(); s.ReadPauses == 0 || s.QueuedTotal == 0 || s.MessagesRejected > 0 {
		t.Errorf("paused %d, held %d, refused %d: the bounds were not met", s.ReadPauses, s.QueuedTotal, s.MessagesRejected)
	}
}

// Clients with large attachments wait for the first worker. Its link takes them as fast as it
// writes, within its output limit.
func TestAWorkerGetsNoMoreClientsAtATimeThanItsLinkTakes(t *testing.T) {
	t.Parallel()
	const clients, size = 100, 512 << 10
	g, _ := start(t, gateway.Config{QueueTimeout: time.Minute,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	first := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	attributes := link.AppendAttributes([]byte{0, 0, 0, 0},
		[]link.Attribute{{Key: "much", Value: strings.Repeat("x", size)}})
	all := make([]*fakeClient, clients)
	for i := range all {
		all[i] = dialClient(t, g.Addrs()[0])
		_, f := first.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
		first.links[0].ack()
		first.links[0].write(&link.Frame{Type: link.Set, Slot: f.Slot, Token: f.Token, Payload: attributes})
	}
	first.barrier(1)
	first.die()
	wait(t, "the worker's end", func() bool { return g.Stats().Workers == 0 })
	for i, c := range all {
		c.say(fmt.Sprintf("%d 0", i))
	}
	wait(t, "messages that wait", func() bool { return g.Stats().QueuedTotal == clients })

	second := dial(t, g.WorkerAddr())
	hello := oneWorker
	hello.ID, hello.Window = [16]byte{2}, 64<<10
	if _, err := link.Connect(second, nil, hello); err != nil {
		t.Fatal(err)
	}
	wait(t, "the second worker", func() bool { return g.Stats().Workers == 1 })
	b := &ledger{next: make(map[string]int)}
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		b.serve(second)
	}()
	wait(t, "all messages", func() bool { return b.count() == clients })
	_ = second.Close()
	<-serving
	if s := g.Stats(); len(b.wrong) > 0 || s.Redelivered > 0 || s.Clients != clients {
		t.Errorf("%v; %d redelivered; %d clients", b.wrong, s.Redelivered, s.Clients)
	}
}
