package gateway

import "github.com/seed-7410fe32/sluice/internal/link"

// A worker admits a client. It has done so when it has acknowledged the ATTACH: its Handler.Connect
// has returned nil, and the effects of Connect are applied. Until then the client receives messages
// for itself, and for a group or uid that a worker has given it, but no messages for all clients.
// Admission fails closed: a client whose Connect fails, or whose connect event is a dead letter, is
// closed, and its messages are not handled.

// entry is the state of a client's admission.
type entry uint8

const (
	entryPending  entry = iota // no worker has acknowledged the client yet
	entryAdmitted              // a worker has acknowledged it
	entryRejected              // the client was refused
)

// admitted notes that a worker has acknowledged the client.
func (s *session) admitted() {
	switch s.entry {
	case entryAdmitted:
		return // a second worker, after a move
	case entryPending:
		s.notPending()
		s.entry = entryAdmitted
	}
	s.oldestHandled()
}

// notPending stops counting the client as pending. It is called before the client is admitted,
// refused or closed.
func (s *session) notPending() {
	if s.phase == phaseOpen && s.entry == entryPending {
		s.loop.pendingClients--
	}
}

// reject closes a client that is refused. refusal is the payload of a KICK with flag REFUSED: a
// close code and a text. It is empty after an error.
func (s *session) reject(refusal []byte) {
	s.dropQueued()
	s.notPending()
	s.entry = entryRejected
	if c := link.Read(refusal); len(refusal) > 0 {
		s.endWithCode(link.ReasonRefused, c.U16(), string(c.Rest()))
	} else {
		s.end(link.ReasonInternal)
	}
	if s.link != nil && s.phase == phaseGone && !s.waiting && !s.pump() { // its close event has nothing to wait for
		s.wait()
	}
}
