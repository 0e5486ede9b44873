package keep

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// machine is a Keeper with a clock of its own, which does not run by itself.
type machine struct {
	*Keeper
	t    *testing.T
	at   time.Time
	seq  uint64
	log  *strings.Builder
	fine int // the minute from which on each has calls, and not each fifth
}

func newMachine(t *testing.T, dir string, maxBytes int, at time.Time) *machine {
	t.Helper()
	m := &machine{t: t, at: at, log: new(strings.Builder)}
	cfg := Config{MaxBytes: maxBytes, Logger: slog.New(slog.NewTextHandler(m.log, nil))}
	if err := cfg.setDefaults(256 << 20); err != nil {
		t.Fatal(err)
	}
	var err error
	if m.Keeper, err = open(cfg, filepath.Join(dir, fileName)); err != nil {
		t.Fatal(err)
	}
	if m.entriesRead() == 0 {
		m.clock = minuteOf(at)
	}
	m.now = func() time.Time { return m.at }
	t.Cleanup(func() {
		if err := m.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// entriesRead is how many rows and failures were there when the file was opened.
func (m *machine) entriesRead() int { return m.minutes.entries + m.failures.entries }

// take keeps reports with one write, and fails the test if they are not kept.
func (m *machine) take(reports ...*stats.Report) {
	m.t.Helper()
	var batch []*waiting
	for _, r := range reports {
		m.seq++
		r.Seq, r.Node = m.seq, "n"
		batch = append(batch, &waiting{report: r, done: make(chan struct{})})
	}
	m.commit(batch)
	for _, w := range batch {
		if <-w.done; w.err != nil {
			m.t.Fatal(w.err)
		}
	}
}

// pass lets time pass. Each minute the Keeper looks what is too old.
func (m *machine) pass(d time.Duration) {
	for end := m.at.Add(d); m.at.Before(end); {
		m.at = m.at.Add(min(time.Minute, end.Sub(m.at)))
		m.commit(nil)
	}
}

// jump lets time pass at once, as if single minutes had.
func (m *machine) jump(d time.Duration) {
	m.at = m.at.Add(d)
	m.clock = minuteOf(m.at)
	m.commit(nil)
}

// wave is a known load: how many calls of an interface there are in a minute, and how many fail.
func wave(minute, iface int) (calls, failed uint64) {
	calls = uint64(1 + (minute*7+iface*13)%20)
	return calls, calls / uint64(5+iface%7)
}

// name is the name of an interface.
func name(i int) string { return fmt.Sprint("call", i, strings.Repeat("-", 200)) }

// reportOf is what a process reports of one minute.
func reportOf(at time.Time, minute, interfaces int) *stats.Report {
	r := &stats.Report{From: at, To: at.Add(time.Minute)}
	for i := range interfaces {
		calls, failed := wave(minute, i)
		row := stats.Row{Module: "shop", Interface: name(i)}
		for n := range calls {
			code := uint32(0)
			if n < failed {
				code = uint32(400 + i)
			}
			row.Add(time.Duration(n+1)*time.Millisecond, code)
		}
		r.Rows = append(r.Rows, row)
	}
	return r
}

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// Fifteen days of a known load pass in seconds. The figures of the last fourteen are exact by five
// minutes, those of the last day by minutes, what is older is gone, and the file stays small.
func TestFortnight(t *testing.T) {
	t.Parallel()
	const interfaces, hours = 2, 15 * 24
	m := newMachine(t, t.TempDir(), 0, start)
	for hour := range hours {
		var reports []*stats.Report
		for minute := hour * 60; minute < hour*60+60; minute++ {
			if hour >= hours-25 || minute%5 == 0 { // before the last day each fifth minute, which is faster
				reports = append(reports, reportOf(start.Add(time.Duration(minute)*time.Minute), minute, interfaces))
			}
		}
		m.at = start.Add(time.Duration(hour+1) * time.Hour)
		m.take(reports...)
		m.jump(0)
	}
	m.fine = (hours - 25) * 60
	m.checkWave(300*time.Second, 14*24*time.Hour, interfaces)
	m.checkWave(60*time.Second, 24*time.Hour, interfaces)
	oldest, err := m.Oldest()
	if age := m.at.Sub(oldest); err != nil || age > 14*24*time.Hour+time.Minute {
		t.Errorf("the oldest row is %v old, %v", age, err)
	}
	s := m.Stats()
	t.Logf("%d rows, %.1f MiB", s.Rows, float64(s.Bytes)/(1<<20))
	if want := interfaces * (14*24*12 + 24*60); s.Rows > want+interfaces || s.Rows < want || s.DroppedRows != 0 {
		t.Errorf("%d rows, want %d, and %d dropped", s.Rows, want, s.DroppedRows)
	}
	m.again()
	m.checkWave(300*time.Second, 14*24*time.Hour, interfaces)
}

// again opens the file again: it says the same.
func (m *machine) again() {
	m.t.Helper()
	before := m.Stats()
	if err := m.store.Close(); err != nil {
		m.t.Fatal(err)
	}
	began := time.Now()
	opened, err := open(Config{MaxBytes: int(m.max), Logger: m.Keeper.log}, m.path)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Logf("opened in %v", time.Since(began))
	opened.now = m.now
	m.Keeper = opened
	after := m.Stats()
	if after.Rows != before.Rows || after.LoggedFailures != before.LoggedFailures || after.Pairs != before.Pairs ||
		after.Sources != before.Sources {
		m.t.Errorf("%+v\nwas %+v", after, before)
	}
}

// checkWave compares what is kept of the last time with the load.
func (m *machine) checkWave(step, back time.Duration, interfaces int) {
	m.t.Helper()
	for i := -1; i < min(interfaces, 4); i++ { // -1: all together
		q := Query{From: m.at.Add(-back), To: m.at}
		if i >= 0 {
			q.Module, q.Interface = "shop", name(i)
		}
		points, got, err := m.Series(m.t.Context(), q, step)
		if err != nil || got != step || len(points) != int(back/step) {
			m.t.Fatalf("%d points of %v, %v, want %d of %v", len(points), got, err, back/step, step)
		}
		sum := uint64(0)
		for _, p := range points {
			want, codes := Calls{}, map[uint32]uint64{}
			first := int(p.Time.Sub(start) / time.Minute)
			for minute := first; minute < first+int(step/time.Minute); minute++ {
				for j := range interfaces {
					if i >= 0 && i != j || minute < m.fine && minute%5 != 0 {
						continue
					}
					calls, failed := wave(minute, j)
					want.Count += calls
					want.Success += calls - failed
					codes[uint32(400+j)] += failed
				}
			}
			sum += want.Count
			if p.Count != want.Count || p.Success != want.Success {
				m.t.Fatalf("%v: %d of %d, want %d of %d", p.Time, p.Success, p.Count, want.Success, want.Count)
			}
			for code, n := range codes {
				if p.Codes[code] != n {
					m.t.Fatalf("%v: %v, want %v", p.Time, p.Codes, codes)
				}
			}
		}
		rows, _, _, err := m.Rows(m.t.Context(), q)
		total := uint64(0)
		for _, r := range rows {
			total += r.Count
		}
		if err != nil || total != sum {
			m.t.Errorf("%d calls in rows, want %d, %v", total, sum, err)
		}
	}
}

// However much is reported, the file has at most MaxBytes. The oldest goes first, the log says so,
// and what is left is exact.
func TestBytesAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := newMachine(t, dir, MinBytes, start)
	random := rand.New(rand.NewPCG(1, 2))
	const interfaces, minutes = 50, 300
	largest := int64(0)
	for minute := range minutes {
		r := reportOf(m.at, minute, interfaces)
		for i := range 400 {
			r.Failures = append(r.Failures, stats.Failure{Time: m.at.Add(time.Duration(i) * time.Millisecond), Module: "shop",
				Interface: "call1", Code: 401, Text: strings.Repeat("x", 100+random.IntN(500))})
		}
		m.take(r)
		m.pass(time.Minute)
		info, err := os.Stat(m.path)
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	s := m.Stats()
	t.Logf("largest file %.1f of %.1f MiB; %+v", float64(largest)/(1<<20), float64(MinBytes)/(1<<20), s)
	if largest > MinBytes {
		t.Errorf("the file had %d bytes", largest)
	}
	if s.DroppedRows == 0 || s.DroppedFailures == 0 {
		t.Errorf("%+v: too little was reported for this test", s)
	}
	if !strings.Contains(m.log.String(), "the statistics are full, the oldest were removed") {
		t.Errorf("the log says %q", m.log)
	}
	m.checkWave(time.Minute, time.Hour, interfaces)
	page, err := m.Failures(t.Context(), FailureQuery{Query: Query{To: m.at}, Limit: 1000})
	if err != nil || len(page.Failures) != 1000 {
		t.Fatalf("%d failures, %v", len(page.Failures), err)
	}
	for i, f := range page.Failures {
		want := m.at.Add(-time.Duration(i/400+1)*time.Minute + time.Duration(399-i%400)*time.Millisecond)
		if !f.Time.Equal(want) {
			t.Fatalf("failure %d is of %v, want %v", i, f.Time, want)
		}
	}
}

// Times that cannot be right count as the present. A clock that jumps ahead for a while removes
// little, and one that jumps back nothing.
func TestClocks(t *testing.T) {
	t.Parallel()
	m := newMachine(t, t.TempDir(), 0, start)
	m.take(reportOf(start, 0, 1))
	m.jump(13 * 24 * time.Hour)
	count := func() (n uint64) {
		t.Helper()
		rows, _, _, err := m.Rows(t.Context(), Query{From: m.at.Add(-14 * 24 * time.Hour), To: m.at.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			n += r.Count
		}
		return n
	}
	one, _ := wave(0, 0)
	if n := count(); n != one {
		t.Fatalf("%d calls, want %d", n, one)
	}
	present := m.at
	for i, wrong := range []time.Duration{2 * time.Minute, 90 * 24 * time.Hour, -25 * time.Hour, -1000 * 24 * time.Hour} {
		r := reportOf(present.Add(wrong), 0, 1)
		r.Failures = []stats.Failure{{Time: present.Add(wrong), Module: "shop", Interface: "call0", Code: 1, Text: "x"}}
		m.take(r)
		if s := m.Stats(); s.WrongTimes != uint64(2*i+2) {
			t.Errorf("%v: %d times are wrong", wrong, s.WrongTimes)
		}
	}
	m.take(reportOf(present.Add(-23*time.Hour), 0, 1)) // it is late
	if n := count(); n != 6*one {
		t.Errorf("%d calls, want %d", n, 6*one)
	}
	rows, _, _, err := m.Rows(t.Context(), Query{From: present.Add(-time.Minute), To: present.Add(time.Minute)})
	if err != nil || len(rows) != 1 || rows[0].Count != 4*one {
		t.Errorf("%+v, %v", rows, err)
	}
	page, err := m.Failures(t.Context(), FailureQuery{Query: Query{From: present, To: present}})
	if err != nil || len(page.Failures) != 4 {
		t.Errorf("%d failures, %v", len(page.Failures), err)
	}
	if !strings.Contains(m.log.String(), "node=n") {
		t.Errorf("the log does not name the node: %s", m.log)
	}
	m.at = present.Add(365 * 24 * time.Hour)
	m.pass(10 * time.Minute)
	m.at = present.Add(-365 * 24 * time.Hour)
	m.pass(10 * time.Minute)
	m.at = present
	if n := count(); n != 6*one {
		t.Errorf("%d calls after jumps of the clock, want %d", n, 6*one)
	}
	m.jump(2 * 24 * time.Hour)
	if n := count(); n != 5*one {
		t.Errorf("%d calls, want %d: the first is too old", n, 5*one)
	}
}

// Past the bound, calls of further interfaces count for "(other)".
func TestPairs(t *testing.T) {
	t.Parallel()
	m := newMachine(t, t.TempDir(), 0, start)
	const modules, each = 12, 500
	for round := range 2 {
		for module := range modules {
			r := &stats.Report{From: m.at, To: m.at}
			for i := range each {
				row := stats.Row{Module: fmt.Sprint("m", module), Interface: fmt.Sprint("i", i)}
				row.Add(time.Millisecond, 0)
				r.Rows = append(r.Rows, row)
			}
			m.take(r)
		}
		rows, _, _, err := m.Rows(t.Context(), Query{From: m.at, To: m.at.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		var calls, other uint64
		for _, r := range rows {
			calls += r.Count
			if r.Interface == stats.Other {
				other += r.Count
			}
		}
		want := uint64(round+1) * modules * each
		if wantOther := want - uint64(round+1)*maxPairs; calls != want || other != wantOther {
			t.Errorf("%d calls, %d for others; want %d and %d", calls, other, want, wantOther)
		}
	}
	for part := range 4 {
		r := &stats.Report{From: m.at, To: m.at}
		for i := range maxOthers / 2 {
			row := stats.Row{Module: fmt.Sprint("late", part, "-", i), Interface: "i"}
			row.Add(time.Millisecond, 0)
			r.Rows = append(r.Rows, row)
		}
		m.take(r)
	}
	if n := len(m.pairs); n > maxPairs+maxOthers+1 {
		t.Errorf("%d pairs", n)
	}
}
