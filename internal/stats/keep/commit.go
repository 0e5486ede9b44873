package keep

import (
	"encoding/binary"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

const (
	// maxAhead and maxLate are how far the times of a report may be from the present. Other times
	// count as the present: the clock of its node is wrong.
	maxAhead = time.Minute
	maxLate  = 24 * time.Hour
	// maxCatchUp is how far the clock of retention moves in a minute, at most. If the clock of the
	// machine jumps ahead for a while, little is removed.
	maxCatchUp = 60
	// fiveMinutes is the period of rows of five minutes, in minutes.
	fiveMinutes = 5
)

// rowID says which row it is.
type rowID struct {
	kind   byte
	minute uint32
	pair
}

// keptFailure is a failure of a report.
type keptFailure struct {
	ms   int64
	f    *stats.Failure
	node string
}

// addition is what has come of a kind.
type addition struct {
	entries int
	bytes   int64
}

// change is what one write to the disk changes. It is made of the reports, then written, and then
// the Keeper's state follows.
type change struct {
	k      *Keeper
	now    time.Time
	minute uint32 // of now

	sources  map[[16]byte]*source // bound: none, of one write
	rows     map[rowID]*stats.Row // bound: none, of one write
	pairs    map[pair]uint32      // bound: none, of one write
	others   int
	failures []keptFailure // bound: none, of one write
	figures  Stats         // what has been counted
	wrong    string        // name of a node whose clock is wrong

	values  map[rowID][]byte // of rows, encoded; bound: none, of one write
	old     map[rowID]int    // bytes that the rows had; bound: none, of one write
	more    [3]addition      // of minutes, fives and failures
	removed [3]removal       // of the same
	clock   uint32
	forget  [][16]byte // sources
}

func newChange(k *Keeper) *change {
	c := &change{
		k: k, now: k.now(), sources: make(map[[16]byte]*source), rows: make(map[rowID]*stats.Row),
		pairs: make(map[pair]uint32), clock: k.clock,
	}
	c.minute = minuteOf(c.now)
	return c
}

// take adds a report that was not taken before.
func (c *change) take(t kv.Tx, r *stats.Report) error {
	from := c.sources[r.Source]
	if from == nil {
		known, err := sourceOf(t, r.Source)
		if err != nil {
			return err
		}
		from = &known
		c.sources[r.Source] = from
	}
	if !from.take(r.Seq) {
		c.figures.DuplicateReports++
		return nil
	}
	from.last, from.node = c.minute, r.Node
	from.reports++
	c.figures.Reports++
	c.figures.LostFailures += r.LostFailures
	minute := minuteOf(c.clamp(r.From, r.Node))
	for i := range r.Rows {
		row := &r.Rows[i]
		p := c.pairOf(row.Module, row.Interface)
		c.pairs[p] = max(c.pairs[p], minute)
		c.figures.Calls += row.Count
		c.add(rowID{keyMinute, minute, p}, row)
		c.add(rowID{keyFive, minute - minute%fiveMinutes, p}, row)
	}
	for i := range r.Failures {
		f := &r.Failures[i]
		c.failures = append(c.failures, keptFailure{c.clamp(f.Time, r.Node).UnixMilli(), f, r.Node})
	}
	return nil
}

// clamp returns the time, or the present if the time cannot be right.
func (c *change) clamp(t time.Time, node string) time.Time {
	if late := c.now.Sub(t); late < -maxAhead || late > min(maxLate, c.k.minutes.keep) {
		c.figures.WrongTimes++
		c.wrong = node
		return c.now
	}
	return t
}

// pairOf returns the pair that calls of a module and an interface count for.
func (c *change) pairOf(module, iface string) pair {
	p := pair{module, iface}
	if c.knows(p) || len(c.k.pairs)-c.k.others+len(c.pairs)-c.others < maxPairs {
		return p
	}
	c.figures.OtherRows++
	p.iface = stats.Other
	if !c.knows(p) {
		if c.k.others+c.others >= maxOthers {
			p.module = stats.Other
		}
		if !c.knows(p) {
			c.others++
		}
	}
	return p
}

func (c *change) knows(p pair) bool {
	_, before := c.k.pairs[p]
	_, now := c.pairs[p]
	return before || now
}

func (c *change) add(id rowID, row *stats.Row) {
	have := c.rows[id]
	if have == nil {
		have = new(stats.Row)
		c.rows[id] = have
	}
	have.Merge(row)
}

// merge adds what the rows had before, and encodes them.
func (c *change) merge(t kv.Tx) error {
	c.values, c.old = make(map[rowID][]byte, len(c.rows)), make(map[rowID]int)
	for id, row := range c.rows {
		if have := t.Get(rowKey(id.kind, id.minute, id.pair)); have != nil {
			if err := mergeRow(row, have); err != nil {
				return err
			}
			c.old[id] = len(have)
		}
		c.values[id] = appendRow(nil, row)
	}
	return nil
}

// write writes sources, rows and failures.
func (c *change) write(t kv.Tx) {
	for id, s := range c.sources {
		t.Put(sourceKey(id), s.encode())
	}
	for id, value := range c.values {
		of := 0
		if id.kind == keyFive {
			of = 1
		}
		key := rowKey(id.kind, id.minute, id.pair)
		t.Put(key, value)
		if old, had := c.old[id]; had {
			c.more[of].bytes += int64(len(value) - old)
		} else {
			c.more[of].entries++
			c.more[of].bytes += weight(key, value)
		}
	}
	next := make(map[int64]uint32) // number of a failure, by its time
	for _, f := range c.failures {
		number, ok := next[f.ms]
		if !ok {
			number = numberAt(t, f.ms)
		}
		next[f.ms] = number + 1
		key, value := failureKey(f.ms, number), appendFailure(nil, f.f, f.node)
		t.Put(key, value)
		c.more[2].entries++
		c.more[2].bytes += weight(key, value)
	}
	c.figures.Failures += uint64(len(c.failures))
	t.Put([]byte{keyClock}, binary.BigEndian.AppendUint32(nil, c.clock))
}

// numberAt returns the first number of failures at a time that is free.
func numberAt(t kv.Tx, ms int64) (number uint32) {
	t.Descend(failureKey(ms+1, 0), func(key, _ []byte) bool {
		if at, last, ok := failureTime(key); ok && at == ms {
			number = last + 1
		}
		return false
	})
	return number
}

// clockOf reads the clock of retention.
func clockOf(value []byte) uint32 { return binary.BigEndian.Uint32(value) }

// trim removes what is too old, and what is too much.
func (c *change) trim(t kv.Tx) {
	for i, of := range c.k.kinds() {
		minutes := uint32(of.keep / time.Minute)
		c.removed[i] = of.trim(t, c.clock-min(minutes, c.clock), c.more[i].bytes)
	}
	if c.clock == c.k.clock && len(c.k.sources) <= maxSources {
		return
	}
	days := uint32(sourceDays * 24 * 60)
	c.forget = c.k.sources.old(c.clock-min(days, c.clock), maxSources)
	for _, id := range c.forget {
		if c.sources[id] == nil {
			t.Delete(sourceKey(id))
		}
	}
}

// adopt makes the state of the Keeper what is on the disk now.
func (c *change) adopt() {
	k := c.k
	k.known.Lock()
	for i, of := range k.kinds() {
		of.entries += c.more[i].entries
		of.bytes += c.more[i].bytes
		of.took(c.removed[i])
	}
	for p, minute := range c.pairs {
		k.note(p, minute)
	}
	for _, id := range c.forget {
		delete(k.sources, id)
	}
	for id, s := range c.sources {
		k.sources[id] = s.seen()
	}
	if c.clock != k.clock {
		k.clock = c.clock
		k.forget(k.oldest(&k.fives))
	}
	k.figures.add(&c.figures)
	k.figures.DroppedRows += uint64(c.removed[0].dropped + c.removed[1].dropped)
	k.figures.DroppedFailures += uint64(c.removed[2].dropped)
	k.known.Unlock()
	k.tell(c)
}
