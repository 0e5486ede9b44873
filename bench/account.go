package bench

import (
	"math"
	"reflect"
)

// An account is what one connection has received of one stream. A gap counts as lost until it is
// filled; then it was reordered.
type account struct {
	next uint32
	// since excuses an absence of the receiver: messages sent before this one need not arrive.
	// Those that do must arrive without a gap.
	since   uint32
	excused uint32 // messages that did not have to arrive, and did not
	mark    uint32 // the receiver waits for the messages sent before this one
	gaps    []gap  // sorted: what is missing below next
}

// gap is the sequence numbers from first to before end.
type gap struct{ first, end uint32 }

// unknown is the number of messages a stream has sent if another process knows it.
const unknown = math.MaxUint32

// farthest bounds the messages of a stream that can be missing in a row. A sequence number beyond
// it counts as one that was never sent.
const farthest = 1 << 20

// arrived enters message seq of a stream that has sent so many. fresh reports that the message was
// still due. over is how many messages before it are skipped.
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

// resume ends an absence: what is sent from seq on must arrive.
func (a *account) resume(seq uint32) { a.since = max(seq, a.next) }

// excuse skips the messages before seq that an absence excuses.
func (a *account) excuse(seq uint32) {
	if to := min(seq, a.since); to > a.next {
		a.excused += to - a.next
		a.next = to
	}
	a.since = 0
}

// await sets the mark, and reports whether a message before it is still missing.
func (a *account) await(seq uint32) bool {
	a.mark = seq
	return a.next < seq
}

// fill removes seq from the gaps, and reports whether it was in one.
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

// close compares the account with the number of messages sent. It has a copy of the account,
// because more messages may arrive before it is called again.
func (a account) close(sent uint32, audit *Audit) {
	a.excuse(sent)
	audit.Expected += uint64(sent - a.excused)
	lost := uint64(sent - min(a.next, sent))
	beyond := uint64(a.next - min(a.next, sent))
	for _, g := range a.gaps {
		missing := uint64(min(g.end, sent) - min(g.first, sent))
		lost += missing
		beyond -= uint64(g.end-g.first) - missing
	}
	audit.Lost += lost
	audit.Unexpected += beyond
}

// unread enters n messages that could not be read, where so many are missing. Each counts as one of
// the missing ones, changed. The others were never sent.
func (a *Audit) unread(n, missing uint64) {
	changed := min(n, missing)
	a.Lost -= changed
	a.Changed += changed
	a.Unexpected += n - changed
}

// addTo adds the numbers in from, times a factor, to those in to.
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
