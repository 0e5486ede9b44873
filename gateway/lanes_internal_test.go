package gateway

import (
	"testing"
	"testing/synctest"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// All limits that depend on the window follow the hello.
func TestAllFollowsTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r *rush
		for _, window := range []uint32{8 << 20, 1 << 10} {
			r = newRush(t, Config{}, window)
			r.turn(0)
			if r.k.delivery.Window() != int(window) || r.k.delivery.Share != max(int(window)/64, 16<<10) {
				t.Errorf("window %d: %d, a client's share %d", window, r.k.delivery.Window(), r.k.delivery.Share)
			}
			// The output that may wait for a worker that does not read is bounded by the window.
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
