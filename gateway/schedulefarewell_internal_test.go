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
		g.g.loops[loop].bid(most)
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
	for n, handled := range c.applied {
		if handled && n >= 0 && !slices.Contains(c.echoes, n) {
			c.w.fail("client %d is told to go and has no answer to its message %d, which was handled", c.index, n)
		}
	}
}
