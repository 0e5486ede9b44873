package keep

import (
	"cmp"
	"os"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// Stats are the figures of a Keeper. A uint64 counts since New or Open, an int is the present
// value.
type Stats struct {
	Reports          uint64 // that were kept
	DuplicateReports uint64 // that had been kept before
	Calls            uint64 // in them
	Failures         uint64 // entries of the failure log in them
	LostFailures     uint64 // that had no room in the process that reported
	// WrongTimes are reports and failures whose time cannot be right, and that count as the present.
	WrongTimes uint64
	// OtherRows are rows that count for the interface "(other)", because there were too many.
	OtherRows uint64
	// DroppedRows and DroppedFailures were removed before their time, because of Config.MaxBytes.
	DroppedRows, DroppedFailures uint64
	WriteErrors                  uint64 // writes to the disk that failed; their reports come again
	Rows                         int    // of minutes and of five minutes
	LoggedFailures               int
	Pairs                        int // modules and interfaces
	Sources                      int // processes that have reported in the last days
	Bytes                        int // of the file, or about those in memory
	MaxBytes                     int
	Waiting                      int // reports that wait for the disk
}

func (s *Stats) add(more *Stats) {
	s.Reports += more.Reports
	s.DuplicateReports += more.DuplicateReports
	s.Calls += more.Calls
	s.Failures += more.Failures
	s.LostFailures += more.LostFailures
	s.WrongTimes += more.WrongTimes
	s.OtherRows += more.OtherRows
}

// Stats returns the figures.
func (k *Keeper) Stats() Stats {
	k.known.RLock()
	s := k.figures
	s.Rows, s.LoggedFailures = k.minutes.entries+k.fives.entries, k.failures.entries
	s.Pairs, s.Sources = len(k.pairs), len(k.sources)
	bytes := k.minutes.bytes + k.fives.bytes + k.failures.bytes
	k.known.RUnlock()
	if info, err := os.Stat(k.path); k.path != "" && err == nil {
		bytes = info.Size()
	}
	s.Bytes, s.MaxBytes, s.Waiting = int(bytes), int(k.max), len(k.waiting)
	return s
}

// Node is a process that reports, or several with one name.
type Node struct {
	Name    string
	Last    time.Time // of the last report, in whole minutes
	Reports uint64    // that were kept of those that are known
}

// maxNodes bounds the nodes that Nodes returns.
const maxNodes = 1000

// Nodes returns those that have reported in the last days, the last one first, at most 1,000.
func (k *Keeper) Nodes() []Node {
	byName := make(map[string]*Node)
	k.known.RLock()
	for _, s := range k.sources {
		n := byName[s.node]
		if n == nil {
			n = &Node{Name: s.node}
			byName[s.node] = n
		}
		n.Reports += s.reports
		if last := timeOf(s.last); last.After(n.Last) {
			n.Last = last
		}
	}
	k.known.RUnlock()
	all := make([]Node, 0, len(byName))
	for _, n := range byName {
		all = append(all, *n)
	}
	slices.SortFunc(all, func(a, b Node) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Name, b.Name)) })
	return all[:min(len(all), maxNodes)]
}

// Path returns the file, or "" if the Keeper is in memory.
func (k *Keeper) Path() string { return k.path }

// teller writes what a Keeper has to say to its log, but not the same again and again. Owned by the
// goroutine that writes reports.
type teller struct {
	full, clock, disk rate.Sometimes
	rows, failures    uint64 // that were dropped until the last line
	broken            bool   // the last write has failed
}

func newTeller() teller {
	return teller{
		full: rate.Sometimes{Interval: 10 * time.Minute}, clock: rate.Sometimes{Interval: 10 * time.Minute},
		disk: rate.Sometimes{Interval: time.Minute},
	}
}

// tell says what has happened in a write.
func (k *Keeper) tell(c *change) {
	if k.told.broken {
		k.told.broken = false
		k.log.Info("the statistics are written again")
	}
	if c.wrong != "" {
		k.told.clock.Do(func() {
			k.log.Warn("a report has a time that cannot be right: it counts as the present", "node", c.wrong)
		})
	}
	rows, failures := k.figures.DroppedRows-k.told.rows, k.figures.DroppedFailures-k.told.failures
	if rows+failures == 0 {
		return
	}
	k.told.full.Do(func() {
		k.log.Warn("the statistics are full, the oldest were removed", "rows", rows, "failures", failures, "bytes", k.max)
		k.told.rows, k.told.failures = k.figures.DroppedRows, k.figures.DroppedFailures
	})
}

// failed notes that a write has failed.
func (k *Keeper) failed(err error) {
	k.known.Lock()
	k.figures.WriteErrors++
	k.known.Unlock()
	k.told.broken = true
	k.told.disk.Do(func() { k.log.Error("statistics not written, they will be reported again", "err", err) })
}
