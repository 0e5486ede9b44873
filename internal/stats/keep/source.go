package keep

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

const (
	// window is how many numbers of reports below the highest one are remembered one by one.
	// Reports of a process may come by several ways at once, and so in another order.
	window = 1024
	// sourceDays is how long a source is known that does not report any more.
	sourceDays = 3
	// maxSources bounds the sources that are known. Past it, those are forgotten that have not
	// reported for longest.
	maxSources = 16_384
)

// source is what is known of the reports of one process.
type source struct {
	highest uint64 // the highest number that was taken
	taken   [window / 8]byte
	last    uint32 // minute in which the last report came
	reports uint64 // that were taken
	node    string // its name in the last report
}

// take notes that a report has come. It reports false if it was taken before, or is so old that
// this is not known any more: a sender sends its oldest report first.
func (s *source) take(seq uint64) bool {
	switch {
	case seq == 0 || seq+window <= s.highest:
		return false
	case seq > s.highest:
		for n := s.highest + 1; n < seq && n <= s.highest+window; n++ {
			s.set(n, false)
		}
		s.highest = seq
	case s.taken[seq%window/8]&(1<<(seq%8)) != 0:
		return false
	}
	s.set(seq, true)
	return true
}

func (s *source) set(seq uint64, taken bool) {
	at, bit := seq%window/8, byte(1)<<(seq%8)
	if taken {
		s.taken[at] |= bit
	} else {
		s.taken[at] &^= bit
	}
}

// sourceHead is the size of an encoded source without its name.
const sourceHead = 8 + window/8 + 4 + 8

// encode returns what is stored of a source.
func (s *source) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, sourceHead+len(s.node)), s.highest)
	b = append(b, s.taken[:]...)
	b = binary.BigEndian.AppendUint32(b, s.last)
	b = binary.BigEndian.AppendUint64(b, s.reports)
	return append(b, s.node...)
}

var errSource = errors.New("keep: what is stored of a source is not valid")

// readSource reads what encode has written.
func readSource(b []byte) (s source, err error) {
	if len(b) < sourceHead {
		return s, errSource
	}
	s.highest = binary.BigEndian.Uint64(b)
	b = b[8+copy(s.taken[:], b[8:]):]
	s.last, s.reports, s.node = binary.BigEndian.Uint32(b), binary.BigEndian.Uint64(b[4:]), string(b[12:])
	return s, nil
}

// sources are those that a Keeper knows, as they are on the disk. Only the name, the time and the
// number of reports are in memory.
type sources map[[16]byte]seenSource

// seenSource is what is in memory of a source.
type seenSource struct {
	node    string
	last    uint32 // minute
	reports uint64
}

func (s *source) seen() seenSource { return seenSource{s.node, s.last, s.reports} }

// old returns the sources to forget: those that have not reported since a minute, and if there are
// too many an eighth of all, those that have not reported for longest.
func (all sources) old(before uint32, most int) (gone [][16]byte) {
	type entry struct {
		id   [16]byte
		last uint32
	}
	entries := make([]entry, 0, len(all))
	for id, s := range all {
		if s.last < before {
			gone = append(gone, id)
		} else {
			entries = append(entries, entry{id, s.last})
		}
	}
	if len(entries) > most {
		slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.last, b.last) })
		for _, e := range entries[:len(entries)-most+most/8] {
			gone = append(gone, e.id)
		}
	}
	return gone
}

// sourceOf reads a source. One that is not known is new.
func sourceOf(t kv.Tx, id [16]byte) (source, error) {
	b := t.Get(sourceKey(id))
	if b == nil {
		return source{}, nil
	}
	return readSource(b)
}
