package gateway

import (
	"fmt"
	"math"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
)

const (
	// maxDeparted bounds the clients of a loop that are gone and that no worker has acknowledged.
	// Beyond it the gateway does not wait for the acknowledgement.
	maxDeparted = 1 << 16
	// maxGone bounds those of one link. Beyond it the worker gets no more clients until it has
	// acknowledged half of them. This bounds the worker's memory for them, and that of the link.
	maxGone = 4096
	// trialPauseMax is the maximum of the random pause after a failed trial.
	trialPauseMax = 500 * time.Millisecond
)

// deliveryLimits are the limits of a loop's book.
func deliveryLimits(c *Config) delivery.Limits {
	wait := uint32(0) // for ever
	if n := c.QueueTimeout.Milliseconds(); n <= math.MaxInt32 {
		wait = uint32(n)
	}
	return delivery.Limits{
		MaxQueue: c.MaxQueueBytes, MaxUnrouted: c.MaxUnroutedBytes, QueueTimeout: wait,
		MaxDeliveries: c.MaxDeliveries, MaxDeparted: maxDeparted, MaxLeaving: maxGone,
	}
}

// deliveryHost is a loop as its book sees it.
type deliveryHost loop

func (h *deliveryHost) of(c *delivery.Client) *session { return h.sessions[c.Slot] }

// Now implements delivery.Host.
func (h *deliveryHost) Now() uint32 { return uint32(h.el.Now().Sub(h.began).Milliseconds()) }

// Alone implements delivery.Host.
func (h *deliveryHost) Alone() bool { return len(h.pool.links) == 0 }

// Pick implements delivery.Host.
func (h *deliveryHost) Pick(c *delivery.Client) *delivery.Link {
	if len(h.pool.links) == 0 {
		return nil
	}
	s := h.of(c)
	k := h.pool.pick(s.routeRequest())
	if k == nil || k.isBacklogged() {
		return nil
	}
	return k.delivery
}

// routeRequest describes the client to a Router.
func (s *session) routeRequest() RouteRequest {
	return RouteRequest{Remote: s.remote(), Listener: s.lis.URL, Target: s.target(), UID: s.member.UID()}
}

// Client implements delivery.Host.
func (h *deliveryHost) Client(slot uint32, token uint64) *delivery.Client {
	return (*loop)(h).session(slot, token).client()
}

// client is the delivery state of a session, or nil for nil.
func (s *session) client() *delivery.Client {
	if s == nil {
		return nil
	}
	return &s.delivery
}

// IsClosed implements delivery.Host.
func (h *deliveryHost) IsClosed(k *delivery.Link) bool { return linkOf(k).conn.Closed() }

// Attach implements delivery.Host.
func (h *deliveryHost) Attach(c *delivery.Client, a delivery.Attachment) (serial uint32, size int) {
	s := h.of(c)
	return s.link().attach(s, a)
}

// Message implements delivery.Host.
func (h *deliveryHost) Message(c *delivery.Client, number uint32, payload []byte, flags uint8) (serial uint32) {
	s := h.of(c)
	return s.link().message(s, number, payload, flags)
}

// Detach implements delivery.Host.
func (h *deliveryHost) Detach(c *delivery.Client, moved bool) (serial uint32) {
	s := h.of(c)
	return s.link().detach(s, moved)
}

// Recycle implements delivery.Host.
func (h *deliveryHost) Recycle(buf []byte) { h.el.Recycle(buf) }

// Rejected implements delivery.Host.
func (h *deliveryHost) Rejected(c *delivery.Client, code string, count int) {
	s := h.of(c)
	s.rejected(code, count)
	s.throttle()
}

// rejected tells the client that messages were rejected.
func (s *session) rejected(code string, count int) {
	s.sendText(fmt.Appendf(nil, `{"type":"sluice.refused","code":%q,"count":%d}`, code, count))
}

// Refuse implements delivery.Host.
func (h *deliveryHost) Refuse(c *delivery.Client) { h.of(c).refuseAdmission(nil) }

// refuseAdmission closes a client that is refused. refusal is the payload of a KICK with flag
// REFUSED: a close code and a text. It is empty after an error.
func (s *session) refuseAdmission(refusal []byte) {
	if c := link.Read(refusal); len(refusal) > 0 {
		s.endWithCode(link.ReasonRefused, c.U16(), string(c.Rest()))
	} else {
		s.end(link.ReasonInternal)
	}
}

// DeadLetter implements delivery.Host.
func (h *deliveryHost) DeadLetter(c *delivery.Client, event string, size, deliveries int) {
	s := h.of(c)
	h.g.log.Error("dead letter: each worker that received the event has ended", "event", event, "bytes", size,
		"deliveries", deliveries, "client", s.member.ID.String(), "remote", s.remote())
}

// Forget implements delivery.Host.
func (h *deliveryHost) Forget(c *delivery.Client) {
	h.sessions[c.Slot] = nil
	h.free = append(h.free, c.Slot)
}

// Resume implements delivery.Host.
func (h *deliveryHost) Resume(k *delivery.Link) { (*loop)(h).resumeStalled(k) }

// ResumeClient implements delivery.Host.
func (h *deliveryHost) ResumeClient(c *delivery.Client) { h.of(c).resume(pausedByQueues) }

// TakesClients implements delivery.Host.
func (h *deliveryHost) TakesClients(d *delivery.Link, on bool) {
	l, k := (*loop)(h), linkOf(d)
	if on {
		l.pool.add(k)
		l.g.log.Info("worker gets new clients again", "worker", k.hello.Name, "loop", l.index)
	} else {
		l.pool.remove(k)
		l.g.log.Warn("worker gets no new clients: too many disconnects are unacknowledged",
			"worker", k.hello.Name, "loop", l.index, "unacknowledged", maxGone)
	}
	l.noteWorkers()
}

// PauseTrials implements delivery.Host.
func (h *deliveryHost) PauseTrials() {
	h.el.Schedule(&h.trialPause, time.Duration(h.tokens.Uint64()%uint64(trialPauseMax)))
}

// trialPause is a loop whose pause after a failed trial is over.
type trialPause loop

// OnTimer implements engine.TimerHandler.
func (p *trialPause) OnTimer(*engine.Timer) { p.book.TrialsPaused() }
