package bench

// An account is what one connection has received of one stream. It tells every fault apart: a gap is lost until it is filled, then it was reordered.
type account struct {
	next    uint32
	since   uint32 // of what was sent before this one, nothing has to arrive: the receiver was away; but what does, arrives without a gap
	excused uint32 // messages that did not have to arrive, and did not
	mark    uint32 // the receiver waits for what was sent before this one
	gaps    []gap  // sorted; not yet arrived below next
}

// gap is the sequence numbers from first to before end.
type gap struct{ first, end uint32 }

// arrived enters a message and counts what is wrong with it.
func (a *account) arrived(seq uint32, audit *Audit) {
	audit.Received++
	if seq >= a.next {
		a.excuse(seq)
	}
	switch {
	case seq == a.next:
		a.next++
	case seq > a.next:
		a.gaps = append(a.gaps, gap{a.next, seq})
		a.next = seq + 1
	case a.fill(seq):
		audit.Reordered++
	default:
		audit.Duplicated++
	}
}

// resume tells that the receiver is there again, after an absence, for what is sent from seq on.
func (a *account) resume(seq uint32) { a.since = max(seq, a.next) }

// excuse ends an absence with the arrival of seq.
func (a *account) excuse(seq uint32) {
	if to := min(seq, a.since); to > a.next {
		a.excused += to - a.next
		a.next = to
	}
	a.since = 0
}

// await has the account wait for what was sent before seq, and tells whether some of it has not arrived.
func (a *account) await(seq uint32) bool {
	a.mark = seq
	return a.next < seq
}

// fill takes seq out of the gaps, if it is in one.
func (a *account) fill(seq uint32) bool {
	for i, g := range a.gaps {
		if seq < g.first || seq >= g.end {
			continue
		}
		rest := append([]gap(nil), a.gaps[i+1:]...)
		a.gaps = a.gaps[:i]
		if g.first < seq {
			a.gaps = append(a.gaps, gap{g.first, seq})
		}
		if seq+1 < g.end {
			a.gaps = append(a.gaps, gap{seq + 1, g.end})
		}
		a.gaps = append(a.gaps, rest...)
		return true
	}
	return false
}

// close enters how many messages the stream had; those that did not arrive are lost.
func (a *account) close(sent uint32, audit *Audit) {
	excused := a.excused
	next := a.next
	if to := min(sent, a.since); to > next {
		excused += to - next
		next = to
	}
	audit.Expected += uint64(sent - excused)
	if sent > next {
		audit.Lost += uint64(sent - next)
	}
	for _, g := range a.gaps {
		audit.Lost += uint64(g.end - g.first)
	}
}

func (a *Audit) add(b Audit) {
	a.Expected += b.Expected
	a.Received += b.Received
	a.Lost += b.Lost
	a.Duplicated += b.Duplicated
	a.Reordered += b.Reordered
	a.Changed += b.Changed
	a.Unexpected += b.Unexpected
	a.Unanswered += b.Unanswered
}
