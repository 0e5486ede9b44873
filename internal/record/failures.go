package record

import (
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// How many failures are kept from one Take to the next.
const (
	maxFailures     = 256
	maxPairFailures = 64 // of one pair, so that it does not hide the others
)

// failures is the log of failed calls since the last Take.
type failures struct {
	mu       sync.Mutex             // nothing else is locked under it
	reserved int                    // guarded by mu
	of       [stats.MaxPairs]uint16 // guarded by mu: reserved for each pair
	list     []failure              // guarded by mu; bound: failed calls that a worker has not reported
	lost     uint64                 // guarded by mu
}

type failure struct {
	at   time.Time
	id   ID
	code uint32
	addr string
	text string
}

// reserve reports whether a failure of the pair has room. If not, it is counted.
func (f *failures) reserve(id ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reserved == maxFailures || f.of[id] == maxPairFailures {
		f.lost++
		return false
	}
	f.reserved++
	f.of[id]++
	return true
}

func (f *failures) add(x failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, x)
}

// take returns the log and empties it.
func (f *failures) take() (list []failure, lost uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, lost = f.list, f.lost
	clear(f.of[:])
	f.reserved, f.list, f.lost = 0, nil, 0
	return list, lost
}
