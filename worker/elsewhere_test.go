package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/faultproxy"
	"github.com/seed-7410fe32/sluice/worker"
)

// Effects at another gateway survive the loss of links to it: however often these are cut, each
// effect arrives once and in order.
func TestEffectsElsewhereSurviveLinks(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	far, err := faultproxy.New(g2.WorkerAddr(), faultproxy.Faults{Delay: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	w := run(t, worker.Config{Gateways: []string{g1.WorkerAddr(), far.Addr()}}, across)
	<-w.Ready()
	var speakers [3]*line
	for i := range speakers {
		speakers[i] = dial(t, g1)
	}
	hearer := dial(t, g2)
	hearer.say("join room")
	hearer.receives("ok")
	const words = 2000
	var talk sync.WaitGroup
	defer talk.Wait()
	talk.Go(func() {
		for i := range words {
			for who, s := range speakers {
				s.say(fmt.Sprintf("say %d %d", who, i))
			}
			if i%200 == 100 {
				far.Cut()
			}
		}
	})
	var next [len(speakers)]int
	for range words * len(speakers) {
		var who, i int
		text := hearer.next()
		if _, err := fmt.Sscanf(text, "%d %d", &who, &i); err != nil || i != next[who] {
			t.Fatalf("%q came when word %d of speaker %d was due", text, next[who], who)
		}
		next[who]++
	}
	if s := g1.Stats(); s.Relayed < words*uint64(len(speakers)) || s.CommandsDropped > 0 {
		t.Errorf("%d commands were passed on, %d given up", s.Relayed, s.CommandsDropped)
	}
}

// When a client's worker is replaced, another gateway gets the messages of the client's handlers in
// order, even if its link to the old worker is slower than the one to the new worker.
func TestAReplacedWorkerIsNotOvertaken(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	slow, err := faultproxy.New(g2.WorkerAddr(), faultproxy.Faults{Delay: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slow.Close)
	start := func(far string) (stop func()) {
		w, err := worker.New(worker.Config{Gateways: []string{g1.WorkerAddr(), far}, Logger: slog.New(slog.DiscardHandler)},
			across)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		<-w.Ready()
		return sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	hearer := func() *line {
		defer start(g2.WorkerAddr())() // joins by a worker of its own
		c := dial(t, g2)
		c.say("join room")
		c.receives("ok")
		return c
	}()
	stop := start(slow.Addr())
	t.Cleanup(stop)
	speaker := dial(t, g1)
	over := make(chan struct{})
	var talk sync.WaitGroup
	said := 0
	talk.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				speaker.say(fmt.Sprintf("say %d", said))
				said++
				time.Sleep(time.Millisecond)
			}
		}
	})
	for i := range 4 {
		next := start([]string{g2.WorkerAddr(), slow.Addr()}[i%2])
		stop()
		stop = next
	}
	t.Cleanup(stop)
	close(over)
	talk.Wait()
	for i := range said {
		hearer.receives(fmt.Sprint(i))
	}
}

// whisperer sends to the client whose id is in the message.
var whisperer = onMessage(func(c worker.Call, m worker.Message) {
	id, err := worker.ParseClientID(string(m.Data))
	if err == nil {
		c.Publish(worker.Client(id), worker.Text("psst"))
	}
	c.Send(worker.Text(fmt.Sprint(err)))
})

// A client may send an invented id. An id with a loop that its gateway does not have belongs to no
// client and does not end the link.
func TestAnIDOfNobody(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	w := run(t, worker.Config{Gateways: []string{g1.WorkerAddr(), g2.WorkerAddr()}}, whisperer)
	<-w.Ready()
	c := dial(t, g1)
	for _, gateway := range []byte{1, 2, 3} {
		for _, loop := range []byte{0, 1, 2, 254, 255} {
			id := worker.ClientID{3: gateway, 4: loop, 15: 1}
			c.say(id.String())
			c.receives("<nil>")
		}
	}
	if s := w.Stats(); s.Reconnects > 0 || s.CommandsDropped != 5 {
		t.Errorf("links were dialled again %d times, %d messages for a gateway that is not known",
			s.Reconnects, s.CommandsDropped)
	}
}

// mourners tell the room about each client that has disconnected, after a while.
var mourners = worker.Handler{
	Message: across.Message,
	Close: func(_ context.Context, c worker.Call, _ worker.Reason) error {
		if c.UID() == "" {
			return nil
		}
		time.Sleep(50 * time.Millisecond) // as long as it takes to write it down
		c.Publish(worker.Group("room"), worker.Text(c.UID()+" has left"))
		return nil
	},
}

// The effects of the Close calls for the last clients of a draining gateway reach other gateways.
// The gateway ends only when its workers have sent these effects and the other gateways have them.
func TestLastDetachesReachOtherGateways(t *testing.T) {
	t.Parallel()
	g1, stop := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	w := run(t, worker.Config{Gateways: []string{g1.WorkerAddr(), g2.WorkerAddr()}}, mourners)
	<-w.Ready()
	hearer := dial(t, g2)
	hearer.say("join room")
	hearer.receives("ok")
	last := dial(t, g1)
	last.say("bind ann")
	last.receives("ok")
	done := make(chan struct{})
	go func() { defer close(done); stop() }()
	last.receives(`{"type":"sluice.draining"}`)
	_ = last.conn.Close() // at once: nothing else keeps the gateway
	hearer.receives("ann has left")
	<-done
}
