package worker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

// The handlers of 1,000 clients hang, and the window of the link has room for 60 of their messages.
// Other clients go on: what hangs has left the window although no heartbeat comes. When the link
// has been cut the same messages come again and wait behind the handlers that still hang: others go
// on again. When the handlers return at last, each message is handled.
func TestHangingHandlersLeaveTheWindow(t *testing.T) {
	t.Parallel()
	const hanging, rounds = 1000, 100
	g := serve(t, gateway.Config{
		ID: 1, Loops: 1, LinkHeartbeat: time.Hour,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
	})
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	var k cutter
	w := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Dial: k.dial, Window: 64 << 10}, worker.Handler{
		Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			if strings.HasPrefix(string(m.Data), "hang") && !m.Redelivered {
				<-gate
			}
			c.Send(worker.Text(string(m.Data[:4])))
			return nil
		},
	})
	t.Cleanup(open) // the worker does not end before its handlers
	<-w.Ready()
	var all []*line
	for range hanging {
		c := dial(t, g)
		c.say("hang" + strings.Repeat("x", 1000))
		all = append(all, c)
	}
	waitFor(t, "all handlers to hang", func() bool { return w.Stats().Blocked == hanging })
	well := dial(t, g)
	others := func() {
		t.Helper()
		var queued uint64
		waitFor(t, "a message that need not wait", func() bool {
			before := g.Stats().QueuedTotal
			well.say("well")
			well.receives("well")
			queued = g.Stats().QueuedTotal
			return queued == before
		})
		for i := range rounds {
			well.say(fmt.Sprint(1000 + i))
			well.receives(fmt.Sprint(1000 + i))
		}
		if n := g.Stats().QueuedTotal - queued; n > 0 {
			t.Errorf("%d messages of a client waited for others whose handlers hang", n)
		}
	}
	others()

	k.cut()
	waitFor(t, "the messages to come again", func() bool {
		s := g.Stats()
		return s.Redelivered == hanging && s.Workers == 1 && s.QueuedBytes == 0
	})
	others()
	open()
	for _, c := range all {
		c.receives("hang")
	}
	if s := g.Stats(); s.DeadLettered+s.MessagesRejected > 0 {
		t.Errorf("%d dead letters, %d messages rejected", s.DeadLettered, s.MessagesRejected)
	}
}
