package gateway

import "github.com/seed-7410fe32/sluice/internal/link"

// A client is let in by a worker: by its Handler.Connect, which has returned nil, and whose effects are applied, when the ATTACH is acknowledged. Until then the client hears what it is sent
// itself, or by way of a group or uid that a worker has given it, but nothing that is for all. It fails closed: a client whose Connect has failed, or whose coming was set aside, is
// closed, and what it has sent is handled by nobody.

// entry is how far a client has come in.
type entry uint8

const (
	entryPending  entry = iota // no worker has acknowledged yet that it is there
	entryAdmitted              // one has
	entryRejected              // it is not to come in
)

// admitted notes that a worker has acknowledged that the client is there.
func (s *session) admitted() {
	switch s.entry {
	case entryAdmitted:
		return // it has moved
	case entryPending:
		s.notPending()
		s.entry = entryAdmitted
	}
	s.oldestHandled()
}

// notPending is called before a client that is there is let in or not, or goes.
func (s *session) notPending() {
	if s.phase == phaseOpen && s.entry == entryPending {
		s.loop.pendingClients--
	}
}

// reject closes a client that is not to come in. What it is told of that is what a KICK with REFUSED carries; nothing: that something has failed.
func (s *session) reject(refusal []byte) {
	s.dropQueued()
	s.notPending()
	s.entry = entryRejected
	if c := link.Read(refusal); len(refusal) > 0 {
		s.endWithCode(link.ReasonRefused, c.U16(), string(c.Rest()))
	} else {
		s.end(link.ReasonInternal)
	}
	if s.link != nil && s.phase == phaseGone && !s.waiting && !s.pump() { // nothing stands before its end any more
		s.wait()
	}
}
