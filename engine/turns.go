package engine

// yielded is a conn that waits for its turn to be offered what OnData has left.
type yielded struct {
	at   uint64 // the lowest comes first,
	nth  uint64 // of equals the one that has waited longest
	conn *Conn
}

func (a yielded) before(b yielded) bool { return a.at < b.at || a.at == b.at && a.nth < b.nth }

// Yield is called in OnData. It has what OnData leaves offered again in a later turn, so that a conn
// that sends much does not hold up the others of its loop: they are looked at first. Of the conns
// that have yielded the one with the lowest at comes first. A turn ends when as many have been
// offered as had yielded before, or with the first that yields again and has taken nothing: so the
// Handler decides how much a turn has room for. One that takes nothing keeps its place, or moves
// back to at. c is not read until OnData has returned without another Yield. Loop only.
func (c *Conn) Yield(at uint64) {
	if c.Closed() || c.yielded {
		return
	}
	l := c.loop
	c.yielded = true
	if c.offered {
		l.again = at
		return
	}
	c.stopPolling()
	l.yields++
	l.yielded.push(yielded{at, l.yields, c})
	l.arm()
}

// Turn counts the turns of the loop. Loop only.
func (l *Loop) Turn() uint64 { return l.counters.Turns }

// offerYielded gives conns that have yielded their turn.
func (l *Loop) offerYielded() {
	for n := len(l.yielded); n > 0; n-- {
		y := l.yielded.pop()
		c := y.conn
		c.yielded = false
		if c.Closed() || c.paused { // Resume has the rest offered
			continue
		}
		before := c.unread()
		c.offered = true
		c.offer()
		c.offered = false
		switch {
		case c.Closed():
		case !c.yielded:
			c.listen()
		case c.unread() == before: // no more in this turn
			l.yielded.push(yielded{max(l.again, y.at), y.nth, c})
			return
		default:
			l.yields++
			l.yielded.push(yielded{l.again, l.yields, c})
		}
	}
}

// yieldHeap has the one that is first at its root.
type yieldHeap []yielded

func (h *yieldHeap) push(y yielded) {
	list := append(*h, y)
	*h = list
	for i := len(list) - 1; i > 0; {
		up := (i - 1) / 2
		if !list[i].before(list[up]) {
			return
		}
		list[i], list[up] = list[up], list[i]
		i = up
	}
}

func (h *yieldHeap) pop() yielded {
	list := *h
	last := len(list) - 1
	first := list[0]
	list[0], list[last] = list[last], yielded{}
	list = list[:last]
	*h = list
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < len(list) && list[down].before(list[least]) {
				least = down
			}
		}
		if least == i {
			return first
		}
		list[i], list[least] = list[least], list[i]
		i = least
	}
}
