package gateway

import (
	"testing"
	"testing/synctest"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// All that a window bounds follows the hello.
func TestAllFollowsTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r *rush
		for _, window := range []uint32{8 << 20, 1 << 10} {
			r = newRush(t, Config{}, window)
			r.turn(0)
			half := int(window) / 2
			if r.k.window != int(window) || r.k.share != max(int(window)/64, 16<<10) || r.k.lane(half-link.HeaderSize) != &r.k.waiting.small || r.k.lane(half) != &r.k.waiting.large {
				t.Errorf("window %d: %d, a client's share %d", window, r.k.window, r.k.share)
			}
			// What a worker that does not read may have waiting: as much as the window bounds, and no more.
			r.worker.Limit(0)
			for range maxLinkOutput(window)/(1<<20) - 1 {
				r.k.send(&link.Frame{Type: link.Reply, Payload: make([]byte, 1<<20)})
			}
			if r.k.conn.Closed() {
				t.Fatalf("window %d: the link has ended with %d bytes waiting", window, r.k.conn.Buffered())
			}
			r.worker.Limit(1 << 30)
			r.turn(0)
		}
		r.worker.Limit(0)
		for range 20 {
			r.k.send(&link.Frame{Type: link.Reply, Payload: make([]byte, 1<<20)})
		}
		if !r.k.conn.Closed() {
			t.Errorf("%d bytes wait for a worker whose window is 1 KiB", r.k.conn.Buffered())
		}
	})
}
