package gateway

import (
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// An inbox uses two buffers in turn during a flood, and releases them afterwards.
func TestAnInboxKeepsItsBuffersWhileAFloodLasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, Config{Loops: 2, Logger: slog.New(slog.DiscardHandler)})
		from, to := g.g.loops[0], g.g.loops[1]
		note := link.Frame{Type: link.Pong, Payload: make([]byte, 100<<10)} // releases a link that does not exist
		buffers := make(map[*byte]bool)
		for range 10 {
			for range 3 {
				for from.pass(1, origin{kind: noteRelease}, &note, 1) {
				}
				buffers[&to.inbox.records[0]] = true
				if n := len(to.inbox.records); n > inboxLimit+len(note.Payload)+1000 {
					t.Fatalf("%d bytes wait", n)
				}
				to.drainInbox()
			}
			to.OnTimer(nil)
		}
		if len(buffers) != 2 {
			t.Errorf("the flood had %d buffers", len(buffers))
		}
		for range 3 {
			to.OnTimer(nil)
		}
		if n := cap(to.inbox.records) + cap(to.inbox.spare); n > 0 {
			t.Errorf("%d bytes are kept", n)
		}
	})
}
