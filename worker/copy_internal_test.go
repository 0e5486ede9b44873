package worker

import (
	"testing"
	"testing/synctest"
)

// A change that goes out by itself stands in the copy, as it does at the gateway, also when a call has begun before it was sent, and fails then.
func TestAFailedCallTakesBackItsOwnChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &gwLink{w: new(Worker), gateway: 1, loops: 1, out: make([]byte, maxOut+1)} // there is no room
		l.space.L, l.work.L = &l.mu, &l.mu
		s := &session{link: l}
		s.Client = Client{API: API{w: l.w, origin: s}, s: s}
		done := make(chan error, 1)
		go func() { done <- s.SetAttrs(map[string]string{"name": "Ann"}) }()
		synctest.Wait() // it waits for room
		s.mu.Lock()
		s.unit = new(unit) // a call begins
		s.mu.Unlock()
		l.mu.Lock()
		l.out = nil
		l.space.Broadcast()
		l.mu.Unlock()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.endUnit(false)
		s.mu.Unlock()
		if name, _ := s.Attr("name"); name != "Ann" {
			t.Errorf("the name is %q", name)
		}
	})
}
