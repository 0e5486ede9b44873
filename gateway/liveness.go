package gateway

import "github.com/seed-7410fe32/sluice/internal/link"

// liveness is what a gateway knows of the other end of a link: whether that lives. Owned by the loop.
type liveness struct {
	partial  int  // bytes of a frame that has not come whole
	received int  // bytes since the last heartbeat
	heard    bool // since the last heartbeat: a frame, or as much of one as a live peer sends
	pingSent bool // a ping is unanswered
}

// noteRead notes a read after which so many bytes wait, of which so many are done with.
func (v *liveness) noteRead(waited, taken int) {
	v.received += waited - v.partial
	v.partial = waited - taken
	v.heard = v.heard || taken > 0 || v.received >= minByteRate
}

// tick is called once a heartbeat, and says what is to be sent: a PONG that nobody has asked for, since the other end's PING may stand behind megabytes and be answered too late, or
// a PING. It reports false when the other end is dead. deaf: it is not read just now, or has sent what has not been read yet, so that it cannot be heard.
func (v *liveness) tick(deaf bool) (send link.Type, alive bool) {
	v.received = 0
	switch {
	case v.heard || deaf:
		v.heard, v.pingSent = false, false
		return link.Pong, true
	case v.pingSent:
		return 0, false
	}
	v.pingSent = true
	return link.Ping, true
}
