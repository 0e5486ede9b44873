package bench

import (
	"math"
	"reflect"
)

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

// unknown stands for how many messages a stream has sent when only another process knows.
const unknown = math.MaxUint32

// farthest is how many messages of a stream can be missing in a row. What is farther ahead was never sent, as far as can be known before the end.
const farthest = 1 << 20

// arrived enters message seq of a stream that has sent so many, and counts what is wrong with it. It tells whether the message is one that was still to come, and how
// many before it have been passed over.
func (a *account) arrived(seq, sent uint32, audit *Audit) (fresh bool, over uint32) {
	if from := max(a.next, a.since); seq >= sent || seq > from && seq-from > farthest {
		audit.Unexpected++
		return false, 0
	}
	if seq >= a.next {
		a.excuse(seq)
	}
	switch {
	case seq == a.next:
		a.next++
	case seq > a.next:
		over = seq - a.next
		a.gaps = append(a.gaps, gap{a.next, seq})
		a.next = seq + 1
	case a.fill(seq):
		audit.Reordered++
	default:
		audit.Duplicated++
		return false, 0
	}
	return true, over
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

// close enters how many messages the stream had; those that did not arrive are lost, and those beyond were never sent.
func (a account) close(sent uint32, audit *Audit) {
	a.excuse(sent) // of a copy: more may arrive, and the account is closed again
	audit.Expected += uint64(sent - a.excused)
	lost := uint64(sent - min(a.next, sent))
	beyond := uint64(a.next - min(a.next, sent))
	for _, g := range a.gaps {
		lost += uint64(min(g.end, sent) - min(g.first, sent))
		beyond -= uint64(g.end-g.first) - uint64(min(g.end, sent)-min(g.first, sent))
	}
	audit.Lost += lost
	audit.Unexpected += beyond
}

// unread enters n messages that arrived and could not be read, where so many are missing. Each stands for one of those, and is changed; what is more, nobody had sent.
func (a *Audit) unread(n, missing uint64) {
	changed := min(n, missing)
	a.Lost -= changed
	a.Changed += changed
	a.Unexpected += n - changed
}

// addTo adds the numbers of a struct to those of another, so many times: -1 takes them off.
func addTo[T any](to *T, from T, times int64) {
	addFields(reflect.ValueOf(to).Elem(), reflect.ValueOf(from), times)
}

func addFields(to, from reflect.Value, times int64) {
	for i := range to.NumField() {
		switch f, v := to.Field(i), from.Field(i); {
		case f.Kind() == reflect.Struct:
			addFields(f, v, times)
		case f.CanUint():
			f.SetUint(f.Uint() + uint64(times)*v.Uint())
		default:
			f.SetInt(f.Int() + times*v.Int())
		}
	}
}
