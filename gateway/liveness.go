package gateway

import "github.com/seed-7410fe32/sluice/internal/link"

// liveness tracks whether the other end of a link is alive. Owned by the loop.
type liveness struct {
	partial  int  // bytes of an incomplete frame
	bytes    int  // received since the last heartbeat
	received bool // a frame, or minByteRate bytes of one, came since the last heartbeat
	pingSent bool // a ping is unanswered
}

// noteRead notes a read: waited bytes of input were there, and taken of them were consumed.
func (v *liveness) noteRead(waited, taken int) {
	v.bytes += waited - v.partial
	v.partial = waited - taken
	v.received = v.received || taken > 0 || v.bytes >= minByteRate
}

// tick is called at each heartbeat, and returns the frame to send. It is a PING, or a PONG without
// a PING: the other end's PING may be behind megabytes of data and be answered too late. unread
// means that the link is not read now, or that its input has not been read yet. alive is false if
// the other end has not answered.
func (v *liveness) tick(unread bool) (send link.Type, alive bool) {
	v.bytes = 0
	switch {
	case v.received || unread:
		v.received, v.pingSent = false, false
		return link.Pong, true
	case v.pingSent:
		return 0, false
	}
	v.pingSent = true
	return link.Ping, true
}
