package engine

// yielded is a conn that waits until the bytes that OnData left are offered again.
type yielded struct {
	at   uint64 // the lowest comes first
	nth  uint64 // at equal at, the lowest comes first: it has waited longest
	conn *Conn
}

func (a yielded) before(b yielded) bool { return a.at < b.at || a.at == b.at && a.nth < b.nth }

// Yield is called in OnData. The bytes that OnData leaves are then offered again in a later turn,
// so that a conn that sends much does not delay the other conns of its loop, which are read first.
// Of the conns that have yielded, the one with the lowest at comes first. A turn offers input to as
// many of them as had yielded before it. It ends earlier at the first conn that yields again and
// has consumed nothing, so the Handler decides how much work a turn does. Such a conn keeps its
// place, or moves back to at. c is not read until OnData has returned without a call of Yield. Loop
// only.
func (c *Conn) Yield(at uint64) {
	if c.Closed() || c.yielded {
		return
	}
	l := c.loop
	c.yielded = true
	if l.offering == c {
		l.yieldAt = at
		return
	}
	c.stopPolling()
	l.yields++
	l.yielded.push(yielded{at, l.yields, c})
	l.arm()
}

// Turn returns the number of turns of the loop. Loop only.
func (l *Loop) Turn() uint64 { return l.counters.Turns }

// offerYielded offers input to conns that have yielded.
func (l *Loop) offerYielded() {
	for n := len(l.yielded); n > 0; n-- {
		y := l.yielded.pop()
		c := y.conn
		c.yielded = false
		if c.Closed() || c.paused { // Resume arranges that the rest is offered
			continue
		}
		before := c.Unread()
		l.offering = c
		c.offer()
		l.offering = nil
		switch {
		case c.Closed():
		case !c.yielded:
			c.listen()
		case c.Unread() == before: // this turn does no more
			l.yielded.push(yielded{max(l.yieldAt, y.at), y.nth, c})
			return
		default:
			l.yields++
			l.yielded.push(yielded{l.yieldAt, l.yields, c})
		}
	}
}

// yieldHeap is a binary heap. The conn that comes first is at its root.
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
