package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// idTeller puts its clients into the room and reports their ids to the test. "flood N" sends N
// numbers to the first client, from 8 goroutines of the call.
type idTeller struct {
	ids   chan worker.ClientID
	first worker.ClientID
}

func (h *idTeller) message(c worker.Call, m worker.Message) {
	var n int
	if _, err := fmt.Sscanf(string(m.Data), "flood %d", &n); err == nil {
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for i := g; i < n; i += 8 {
					c.Publish(worker.Client(h.first), worker.Text(strconv.Itoa(i)))
				}
			})
		}
		all.Wait()
		c.Send(worker.Text("done"))
		return
	}
	c.Join("room")
	c.Send(worker.Text("ok"))
	h.ids <- c.ID()
}

// roomy is the configuration of a gateway that buffers much output for slow clients.
func roomy(t *testing.T, id uint32) *gateway.Gateway {
	t.Helper()
	return serve(t, gateway.Config{
		ID: id, Loops: 2, Logger: slog.New(slog.DiscardHandler),
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0", MaxOutput: 64 << 20}},
	})
}

// Messages of one goroutine to one client arrive in order, whether they are for the client alone or
// for several.
func TestPlainSendsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	g := roomy(t, 1)
	h := &idTeller{ids: make(chan worker.ClientID, 4)}
	w := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}}, onMessage(h.message))
	<-w.Ready()
	loops := map[uint8]bool{}
	for range 2 {
		c := dial(t, g)
		c.say("hello")
		c.receives("ok")
		id := <-h.ids
		loops[link.ClientID(id).Loop()] = true
		proctest.Await(t, "it is in the room", func() bool {
			n, err := w.Count(context.Background(), worker.Group("room"))
			return err == nil && n == len(loops)
		})
		const n = 2000
		for i := 0; i < n; i += 2 {
			if err := w.Publish(t.Context(), worker.Group("room"), worker.Text(strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
			if err := w.Publish(t.Context(), worker.Client(id), worker.Text(strconv.Itoa(i+1))); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			c.receives(strconv.Itoa(i))
		}
	}
	if len(loops) != 2 {
		t.Error("both clients are of one loop: this showed half of it")
	}
}

// All messages of the goroutines of a call to a client of another gateway arrive once, however many
// they are.
func TestACallSendsMuchElsewhere(t *testing.T) {
	t.Parallel()
	near, far := roomy(t, 1), roomy(t, 2)
	h := &idTeller{ids: make(chan worker.ClientID, 4)}
	w := run(t, worker.Config{Gateways: []string{near.WorkerAddr(), far.WorkerAddr()}}, onMessage(h.message))
	<-w.Ready()
	hearer, speaker := dial(t, far), dial(t, near)
	hearer.say("hello")
	hearer.receives("ok")
	h.first = <-h.ids
	const n = 70_000 // more than two bytes count
	speaker.say(fmt.Sprint("flood ", n))
	speaker.receives("done")
	received := make([]bool, n)
	for range n {
		i, err := strconv.Atoi(hearer.next())
		if err != nil || received[i] {
			t.Fatalf("%d comes twice, or is none: %v", i, err)
		}
		received[i] = true
	}
}

// A publish reaches all other gateways when one cannot be reached.
func TestAPublishReachesTheOtherGateways(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var cut bool
	var conns []net.Conn
	near := roomy(t, 1)
	others := []*gateway.Gateway{roomy(t, 2), roomy(t, 3)}
	h := &idTeller{ids: make(chan worker.ClientID, 4)}
	w := run(t, worker.Config{
		Gateways: []string{near.WorkerAddr(), others[0].WorkerAddr(), others[1].WorkerAddr()},
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if cut && addr == near.WorkerAddr() {
				return nil, net.ErrClosed
			}
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", addr)
			if err == nil && addr == near.WorkerAddr() {
				conns = append(conns, c)
			}
			return c, err
		},
	}, onMessage(h.message))
	<-w.Ready()
	var hearers []*line
	for _, g := range others {
		l := dial(t, g)
		l.say("hello")
		l.receives("ok")
		hearers = append(hearers, l)
	}
	mu.Lock()
	cut = true
	for _, conn := range conns {
		_ = conn.Close()
	}
	mu.Unlock()
	proctest.Await(t, "the links are down", func() bool { return w.Stats().Links == 4 })
	if err := w.Publish(t.Context(), worker.Group("room"), worker.Text("news")); err != nil {
		t.Error(err)
	}
	for _, l := range hearers {
		l.receives("news")
	}
	if n := w.Stats().CommandsDropped; n != 1 {
		t.Errorf("%d commands are counted that did not reach a gateway", n)
	}
}
