package gateway

import (
	"bytes"
	"testing"
	"testing/synctest"
)

// lines are n lines of a text client, of size bytes each.
func lines(n, size int) []byte {
	return bytes.Repeat(append(bytes.Repeat([]byte("f"), size-1), '\n'), n)
}

// Clients that are resumed in each turn, with much that was read before, do not keep the others
// from their turn for ever.
func TestTheResumedDoNotStarveThoseWhoHaveYielded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{MaxUnacked: 64 << 10}, 64<<20)
		var all []*rushClient
		for range 30 {
			all = append(all, r.client("text"))
		}
		quiet := r.client("ws") // it yields when a turn has no room for what is compressed
		all = append(all, quiet)
		more := lines(200, 1000)
		for turn, said := 0, 0; turn < 300; turn++ {
			for i, c := range all[:30] {
				if i%3 <= turn && c.SimPeer.Unread() < 1<<20 { // a third of them is resumed in each turn
					c.Send(more)
				}
			}
			if turn >= 100 && turn%10 == 0 {
				if n := len(r.heard[quiet.s.slot]); n < said {
					t.Fatalf("after %d turns only %d of %d messages of the other client have come", turn, n, said)
				}
				said++
				quiet.say(string(bytes.Repeat([]byte("c"), 1000)))
			}
			r.turn(1<<30, all...)
		}
	})
}
