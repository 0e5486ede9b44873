package keep

import (
	"fmt"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

const (
	// maxPairs bounds the modules and interfaces that have rows of their own. Calls of further ones
	// count for the interface stats.Other of their module, and when there are maxOthers of those,
	// for the module stats.Other.
	maxPairs  = 4096
	maxOthers = 1024
)

// state is what a Keeper knows without reading. The goroutine that writes reports changes it, and
// holds mu then. Others hold mu to read.
type state struct {
	known    sync.RWMutex
	minutes  kind
	fives    kind
	failures kind
	pairs    map[pair]uint32 // the minute of the last call; bound: modules and interfaces that are kept
	others   int             // pairs that stand for many
	sources  sources         // bound: processes that report
	clock    uint32          // the minute that retention goes by
	damaged  error           // what load has found; set before the Keeper is used
	figures  Stats           // only what is counted
}

// kind is one of the things that are kept: what bounds it, and how much there is.
type kind struct {
	prefix byte
	keep   time.Duration // how long
	most   int64         // bytes

	entries int
	bytes   int64
	since   uint32 // the minute before which entries were removed because of their bytes
}

func newState(most int64) state {
	const day = 24 * time.Hour
	return state{
		minutes:  kind{prefix: keyMinute, keep: day, most: most / 5},
		fives:    kind{prefix: keyFive, keep: 14 * day, most: most / 5 * 2},
		failures: kind{prefix: keyFailure, keep: 14 * day, most: most / 5},
		pairs:    make(map[pair]uint32),
		sources:  make(sources),
	}
}

// kinds are what is kept, each for its time.
func (s *state) kinds() [3]*kind { return [3]*kind{&s.minutes, &s.fives, &s.failures} }

// load notes an entry of a file that is opened.
func (s *state) load(key, value []byte) {
	var err error
	switch key[0] {
	case keyMinute:
		err = s.loadRow(&s.minutes, key, value)
	case keyFive:
		err = s.loadRow(&s.fives, key, value)
	case keyFailure:
		if _, _, ok := failureTime(key); !ok {
			err = errFailure
		} else {
			_, err = readFailure(value)
		}
		s.failures.add(key, value, 1)
	case keySource:
		var from source
		if from, err = readSource(value); err == nil && len(key) == 17 {
			s.sources[[16]byte(key[1:])] = from.seen()
		}
	case keyClock:
		if len(value) == 4 {
			s.clock = clockOf(value)
		}
	}
	if err != nil && s.damaged == nil {
		s.damaged = fmt.Errorf("key %x: %w", key, err)
	}
}

func (s *state) loadRow(of *kind, key, value []byte) error {
	minute, ok := period(of.prefix, key)
	if !ok {
		return errRow
	}
	if of.entries == 0 {
		of.since = minute // of minutes there may have been older ones
	}
	of.add(key, value, 1)
	module, iface := namesOf(key)
	s.note(pair{string(module), string(iface)}, minute)
	return mergeRow(new(stats.Row), value)
}

// add notes that n entries with the key and the value came, or went if n is negative.
func (k *kind) add(key, value []byte, n int) {
	k.entries += n
	k.bytes += int64(n) * weight(key, value)
}

// note notes a call of a pair.
func (s *state) note(p pair, minute uint32) {
	last, ok := s.pairs[p]
	if !ok && p.iface == stats.Other {
		s.others++
	}
	s.pairs[p] = max(last, minute)
}

// forget forgets the pairs without a call since a minute.
func (s *state) forget(before uint32) {
	for p, last := range s.pairs {
		if last < before {
			delete(s.pairs, p)
			if p.iface == stats.Other {
				s.others--
			}
		}
	}
}

// oldest is the minute of the oldest entries of a kind that are kept by their age.
func (s *state) oldest(of *kind) uint32 {
	minutes := uint32(of.keep / time.Minute)
	return s.clock - min(minutes, s.clock)
}

// removal is what trim has removed of a kind.
type removal struct {
	entries int
	bytes   int64
	dropped int    // entries that were removed because of the bytes
	since   uint32 // see kind
}

// maxRemoved bounds the entries of a kind that are removed with one write to the disk.
const maxRemoved = 10_000

// trim removes the oldest entries of a kind: those from before a minute, and those that are over
// its bytes, of which more have come. Of rows it removes whole periods.
func (k *kind) trim(t kv.Tx, before uint32, more int64) (gone removal) {
	over := k.bytes + more
	if over > k.most {
		over -= k.most - k.most/16 // make some room, so that not each write has to
	} else {
		over = 0
	}
	var keys [][]byte
	var at uint32
	t.Ascend([]byte{k.prefix}, func(key, value []byte) bool {
		minute, ok := k.minuteOf(key)
		old := ok && minute < before
		whole := k.prefix != keyFailure && len(keys) > 0 && minute == at // of a period all rows go
		if !ok || len(keys) >= maxRemoved || !old && !whole && gone.bytes >= over {
			return false
		}
		if !old {
			gone.dropped++
			gone.since = minute + 1
		}
		at = minute
		gone.bytes += weight(key, value)
		keys = append(keys, append([]byte(nil), key...))
		return true
	})
	for _, key := range keys {
		t.Delete(key)
	}
	gone.entries = len(keys)
	return gone
}

// minuteOf returns the minute of the key of an entry. ok is false for an entry of another kind.
func (k *kind) minuteOf(key []byte) (minute uint32, ok bool) {
	if k.prefix != keyFailure {
		return period(k.prefix, key)
	}
	ms, _, ok := failureTime(key)
	return uint32(ms / 60_000), ok
}

// took notes what trim has removed.
func (k *kind) took(r removal) {
	k.entries -= r.entries
	k.bytes -= r.bytes
	k.since = max(k.since, r.since)
}
