package gateway_test

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"testing"

	"sluice/gateway"
	"sluice/internal/link"
)

// ledger is what workers saw of each client, in the order in which they saw it.
type ledger struct {
	mu    sync.Mutex
	next  map[string]int // guarded by mu: the number each client's next message must have
	wrong []string       // guarded by mu
	seen  int            // guarded by mu
}

// serve is a worker on one link: it enters each message and acknowledges it afterwards, until the link ends.
func (b *ledger) serve(conn net.Conn) {
	for r := bufio.NewReader(conn); ; {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		switch {
		case f.Type == link.Ping:
			_, _ = conn.Write(link.Append(nil, &link.Frame{Type: link.Pong, ID: f.ID}))
			continue
		case f.Type > link.Detach:
			continue
		case f.Type == link.Message:
			b.enter(string(f.Payload))
		}
		_, _ = conn.Write(link.Append(nil, &link.Frame{Type: link.Unit, ID: f.ID, Slot: f.ID}))
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

// Workers come and drain while clients talk, with windows and bounds so small that everything waits everywhere: each message arrives once and in order.
func TestHandOversLoseNothing(t *testing.T) {
	t.Parallel()
	const clients, messages, workers = 20, 400, 12
	g, _ := start(t, gateway.Config{
		Loops: 2, MaxUnacked: 300, Router: gateway.RoundRobin, Listeners: []gateway.Listener{{URL: "text://127.0.0.1:0"}},
	})
	b := &ledger{next: map[string]int{}}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	join := func(i int) (conns []net.Conn) {
		for loop := range uint16(2) {
			conn := dial(t, g.InnerAddr())
			hello := link.WorkerHello{Role: link.RoleWorker, Loop: loop, Weight: 100, Window: uint32(200 + 100*(i%3)), ID: [16]byte{byte(i + 1)}}
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
	wait(t, "nothing waiting", func() bool { return g.Stats().Queued == 0 })
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) > 0 || b.seen != clients*messages {
		t.Errorf("%d of %d messages; out of order: %d, the first %v", b.seen, clients*messages, len(b.wrong), b.wrong[:min(3, len(b.wrong))])
	}
	if s := g.Stats(); s.Paused == 0 || s.Held == 0 || s.Refused > 0 {
		t.Errorf("paused %d, held %d, refused %d: the bounds were not met", s.Paused, s.Held, s.Refused)
	}
}
