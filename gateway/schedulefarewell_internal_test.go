package gateway

import "slices"

// drainGateway starts the drain of a gateway. Its loops close their clients later.
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

// bid makes a loop close at most that many clients, if the gateway drains.
func (g gate) bid(loop, most int) {
	if g.draining {
		g.g.loops[loop].closeSome(most)
	}
}

// checkAnswered checks the guarantee for clients that have closed their side: they have the replies
// to everything that was handled before they were closed, unless that took too long.
func (w *world) checkAnswered() {
	if w.stats().HalfClosesUnanswered > 0 {
		return // its client is not known
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

// receivesReason checks the guarantee for a client that is told of a drain: it has the replies to
// everything that was handled, and nothing is handled afterwards.
func (c *simClient) receivesReason() {
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
