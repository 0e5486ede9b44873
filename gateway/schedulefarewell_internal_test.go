package gateway

import "slices"

// drainGateway has a gateway begin to close down. Its clients are bidden farewell as its loops come to it.
func (w *world) drainGateway() {
	g := &w.gates[w.rng.IntN(len(w.gates))]
	if g.draining {
		return
	}
	g.draining = true
	for _, l := range g.g.loops {
		l.beginDrain()
	}
}

// bid has a loop bid at most so many clients farewell, if the gateway drains.
func (g gate) bid(loop, most int) {
	if g.draining {
		g.g.loops[loop].closeSome(most)
	}
}

// checkAnswered checks what is promised to clients that have ended their side: they have the answers to all that was handled before they were closed, if that did not take too long.
func (w *world) checkAnswered() {
	if w.stats().HalfClosesUnanswered > 0 {
		return // nobody knows whose
	}
	for _, c := range w.clients {
		for n := range c.said {
			if c.ended && !c.isKeptOut() && c.applied[n] && n >= 0 && !slices.Contains(c.echoes, n) {
				w.fail("client %d has ended its side and has no answer to its message %d, which was handled", c.index, n)
			}
		}
		if c.ended && c.said > 0 {
			w.seen.Ended++
		}
	}
}

// hearsFarewell checks what a client is promised that is told to go: it has the answers to all that was handled, and nothing is handled any more.
func (c *simClient) hearsFarewell() {
	switch {
	case !c.w.gates[c.gate].draining || c.bidden:
		c.w.fail("client %d is told to go", c.index)
	case c.left:
		return
	}
	c.bidden = true
	c.w.seen.Farewells++
	if c.w.rng.IntN(2) == 0 {
		c.peer.HangUp() // or waits to be closed
	}
	for n, handled := range c.applied {
		if handled && n >= 0 && !slices.Contains(c.echoes, n) {
			c.w.fail("client %d is told to go and has no answer to its message %d, which was handled", c.index, n)
		}
	}
}
