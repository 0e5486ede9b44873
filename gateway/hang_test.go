package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// Handlers of some clients hang, with so many messages that the window of their link is full, and
// the worker does not say that they block. Its other clients wait for two heartbeats, and are then
// served.
func TestHandlersThatHangLeaveOthersCredit(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	hello := oneWorker
	hello.Window = 64 << 10 // each client's share of it is 16 KiB
	w := dialWorker(t, g.WorkerAddr(), nil, hello)
	message := strings.Repeat("x", 1000)
	for range 6 {
		c := dialClient(t, g.Addrs()[0])
		for range 15 {
			c.say(message)
		}
	}
	wait(t, "messages that wait for credit", func() bool { return g.Stats().QueuedTotal > 0 })
	for i := range 3 {
		c := dialClient(t, g.Addrs()[0])
		hi := fmt.Sprint("hi ", i)
		c.say(hi)
		_, f := w.take(hi, func(_ int, f *link.Frame) bool { return f.Type == link.Message && string(f.Payload) == hi })
		w.links[0].write(&link.Frame{Type: link.Send, Flags: link.FlagText, Slot: f.Slot, Token: f.Token,
			Payload: []byte("ho")})
		if got := c.receive(); got != "ho" {
			t.Errorf("client %d receives %q", i, got)
		}
	}
}

// A worker says which handlers block. What their clients have sent leaves the window at once,
// without a heartbeat. A BLOCKED about a client that is not known has no effect.
func TestBlockedHandlersLeaveTheWindow(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{})
	cfg.LinkHeartbeat = time.Hour
	g, _ := start(t, cfg)
	hello := oneWorker
	hello.Window = 64 << 10
	w := dialWorker(t, g.WorkerAddr(), nil, hello)
	if !w.links[0].hello.Blocks {
		t.Fatal("the gateway does not say that it takes BLOCKED")
	}
	message := strings.Repeat("x", 15<<10)
	var all []*fakeClient
	var ids []link.Frame
	for range 5 {
		all = append(all, dialClient(t, g.Addrs()[0]))
		ids = append(ids, w.letIn())
	}
	takes := func() {
		t.Helper()
		w.take("a message", func(_ int, f *link.Frame) bool { return f.Type == link.Message })
	}
	for _, c := range all[1:] {
		c.say(message)
		takes()
	}
	all[0].say(message)
	wait(t, "a message that has to wait", func() bool { return g.Stats().QueuedTotal == 1 })
	w.links[0].write(&link.Frame{Type: link.Blocked, Slot: 1 << 20, Token: 1})
	w.barrier(1)
	if got := w.pending(); len(got) > 0 {
		t.Fatalf("the worker has %q although the window is full", got)
	}
	for _, id := range ids[1:] {
		w.links[0].write(&link.Frame{Type: link.Blocked, Slot: id.Slot, Token: id.Token})
	}
	takes()
}
