package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// Handlers of some clients hang, with so many messages that the window of their link is full. The
// worker's other clients wait for two heartbeats, and are then served.
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
