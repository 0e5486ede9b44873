package worker

import "sync"

// A link may end while a call of a client runs. The gateway then gives the client to the next link,
// with its unacknowledged messages. Calls for one client must not overlap, so the new session waits
// for the old one, which lingers: the new session is busy from the start, and the goroutine that
// ends the old session's work starts the new one's.
//
// The worker dials a loop again only after the leader of the loop's last link has ended and has
// recorded here the sessions whose calls still run. So the new link finds all of them.

// lingering are the sessions, by client, of which a call still runs although their link has ended.
// There are at most as many as goroutines that run handlers.
type lingering struct {
	mu sync.Mutex            // nothing else is locked under it
	of map[ClientID]*session // bound: none, one for each call that runs
}

// linger records that a call of the session still runs. It is called when the session's link and
// leader have ended.
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

// awaitPredecessor makes a new session wait for the lingering session of the same client, if there
// is one.
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
		s.busy = true // no other goroutine has the session yet
		old.next = s
	}
}

// endLinger is called when no call of the session runs any more. It returns the session that has
// waited for this, or nil. The caller must start it. Called with mu.
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
