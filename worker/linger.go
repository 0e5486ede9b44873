package worker

import "sync"

// A link may die while a client's call runs, and the gateway gives the client to the next link, with what was not acknowledged. Calls for one client never
// overlap, so its session there waits for the one that lingers: it is busy from the start, and who ends the old session's turn starts the new one's.
//
// That none is missed, a loop is dialled again only when the leader of its last link has ended and noted here whose calls still run.

// lingering are the sessions, by client, in which a call still runs though their link has ended. At most as many as goroutines that run handlers.
type lingering struct {
	mu sync.Mutex            // nothing else is locked under it
	of map[ClientID]*session // bound: none, one for each call that runs
}

// linger notes, when the session's link and leader have ended, that something of it still runs.
func (s *session) linger() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.busy {
		return
	}
	s.lingers = true
	g := &s.link.w.lingering
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of == nil {
		g.of = make(map[ClientID]*session)
	}
	g.of[s.id] = s
}

// awaitPredecessor makes a new session wait for the one of the same client that lingers, if one does.
func (s *session) awaitPredecessor() {
	g := &s.link.w.lingering
	g.mu.Lock()
	old := g.of[s.id]
	g.mu.Unlock()
	if old == nil {
		return
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	if old.lingers {
		s.busy = true // nobody else has seen it yet
		old.next = s
	}
}

// endLinger ends a session's lingering: nothing of it runs any more. It returns the one that has waited for that, which is the caller's to start. Called with mu.
func (s *session) endLinger() (next *session) {
	if !s.lingers {
		return nil
	}
	s.lingers = false
	g := &s.link.w.lingering
	g.mu.Lock()
	if g.of[s.id] == s {
		delete(g.of, s.id)
	}
	g.mu.Unlock()
	next, s.next = s.next, nil
	return next
}
