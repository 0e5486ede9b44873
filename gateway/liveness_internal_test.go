package gateway

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// A link is closed at the second heartbeat without a frame. Fewer than minByteRate bytes of a frame
// do not count; as many do, and so does a link that the gateway does not read.
func TestLiveness(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		each   func(v *liveness) // between two heartbeats
		unread bool
		dead   int // heartbeat at which the link is closed; 0: never
	}{
		"silent":         {func(*liveness) {}, false, 2},
		"a byte":         {func(v *liveness) { v.noteRead(v.partial+1, 0) }, false, 2},
		"bytes, too few": {func(v *liveness) { v.noteRead(v.partial+minByteRate-1, 0) }, false, 2},
		"bytes, enough":  {func(v *liveness) { v.noteRead(v.partial+minByteRate, 0) }, false, 0},
		"in two reads": {func(v *liveness) {
			v.noteRead(v.partial+minByteRate/2, 0)
			v.noteRead(v.partial+minByteRate/2, 0)
		}, false, 0},
		"a frame":  {func(v *liveness) { v.noteRead(9, 9) }, false, 0},
		"not read": {func(*liveness) {}, true, 0},
	} {
		var v liveness
		dead := 0
		for beat := 1; beat <= 10 && dead == 0; beat++ {
			c.each(&v)
			want := link.Pong
			if c.dead > 0 {
				want = link.Ping
			}
			switch send, alive := v.tick(c.unread); {
			case !alive:
				dead = beat
			case send != want:
				t.Errorf("%s: %v is sent, want %v", name, send, want)
			}
		}
		if dead != c.dead {
			t.Errorf("%s: closed at heartbeat %d, want %d", name, dead, c.dead)
		}
	}
}
