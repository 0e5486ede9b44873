package intake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/internal/stats/intake"
	"github.com/seed-7410fe32/sluice/worker/stat"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// keeper takes reports, or refuses them.
type keeper struct {
	mu     sync.Mutex
	refuse int                     // guarded by mu: so many reports, negative: all
	came   [][]byte                // guarded by mu: all calls
	kept   map[uint64]stats.Report // guarded by mu: by number
}

func (k *keeper) take(_ context.Context, report []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.came = append(k.came, report)
	if k.refuse != 0 {
		k.refuse--
		return errors.New("no")
	}
	r, err := stats.ReadReport(report)
	if err != nil {
		return err
	}
	k.kept[r.Seq] = r
	return nil
}

// sum returns all rows that were kept, and the failures.
func (k *keeper) sum() (rows map[string]*stats.Row, failures []stats.Failure, lost uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	rows = make(map[string]*stats.Row)
	for _, r := range k.kept {
		for i := range r.Rows {
			name := r.Rows[i].Module + "/" + r.Rows[i].Interface
			if rows[name] == nil {
				rows[name] = new(stats.Row)
			}
			rows[name].Merge(&r.Rows[i])
		}
		failures = append(failures, r.Failures...)
		lost += r.LostFailures
	}
	return rows, failures, lost
}

// fixture is an intake and a program that reports to it.
type fixture struct {
	t    *testing.T
	in   *intake.Intake
	to   *keeper
	conn net.Conn
	log  *strings.Builder // read it after Close
	sent int
}

func start(t *testing.T, refuse int) *fixture {
	t.Helper()
	f := &fixture{t: t, to: &keeper{refuse: refuse, kept: make(map[uint64]stats.Report)}, log: new(strings.Builder)}
	var err error
	f.in, err = intake.New(intake.Config{Addr: "127.0.0.1:0", Node: "host", Take: f.to.take,
		Logger: slog.New(slog.NewTextHandler(f.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if f.conn, err = net.Dial("udp", f.in.Addr()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.conn.Close() })
	return f
}

// send sends a datagram. It waits until some have come, so that the system drops none.
func (f *fixture) send(b []byte) {
	f.t.Helper()
	if _, err := f.conn.Write(b); err != nil {
		f.t.Fatal(err)
	}
	if f.sent++; f.sent%100 == 0 {
		f.arrived()
	}
}

// arrived waits until all datagrams have come.
func (f *fixture) arrived() {
	f.t.Helper()
	await(f.t, "datagrams", func() bool { return f.in.Stats().Datagrams == uint64(f.sent) })
}

// call is a datagram.
func call(module, iface string, seconds float32, success bool, code uint32, at time.Time, text string) []byte {
	d := stat.Datagram{Module: module, Interface: iface, Took: time.Duration(float64(seconds) * 1e9), Success: success,
		Code: code, Time: at, Text: text}
	return d.Append(nil)
}

// What comes in a second is one report, with the time, the code and the sender of each failure.
// What is no report of a call is counted.
func TestDatagramsAreAddedUp(t *testing.T) {
	t.Parallel()
	f := start(t, 0)
	now := time.Now().Truncate(time.Second)
	for range 300 {
		f.send(call("shop", "buy", 0.5, true, 200, now, ""))
	}
	f.send(call("shop", "buy", 1, false, 7, now.Add(-10*time.Second), "no stock\n"))
	f.send(call("shop", "sell", 2, false, 0, now.Add(-time.Hour), ""))
	good := call("shop", "buy", 0.5, true, 0, now, "text")
	for _, junk := range [][]byte{nil, []byte("junk"), good[:len(good)-1], append(bytes.Clone(good), 0)} {
		f.send(junk)
	}
	f.arrived()
	f.in.Close()
	rows, failures, lost := f.to.sum()
	buy, sell := rows["shop/buy"], rows["shop/sell"]
	if len(rows) != 2 || buy.Count != 301 || buy.Success != 300 || buy.Codes[7] != 1 || sell.Count != 1 ||
		sell.Codes[1] != 1 || buy.Latency.Max != time.Second || buy.Latency.Sum != 151*time.Second || lost != 0 {
		t.Errorf("%v, %d lost", rows, lost)
	}
	if len(failures) != 2 {
		t.Fatalf("%+v", failures)
	}
	for _, e := range failures {
		at := e.Time
		e.Time = time.Time{}
		want := stats.Failure{Module: "shop", Interface: "buy", Code: 7, Addr: "127.0.0.1", Text: `no stock\n`}
		right := at.Equal(now.Add(-10 * time.Second))
		if e.Interface == "sell" {
			want = stats.Failure{Module: "shop", Interface: "sell", Code: 1, Addr: "127.0.0.1"}
			right = time.Since(at) < time.Minute // a time that cannot be right
		}
		if e != want || !right {
			t.Errorf("%+v of %v, want %+v", e, at, want)
		}
	}
	if s := f.in.Stats(); s.Datagrams != 306 || s.Invalid != 4 {
		t.Errorf("%+v", s)
	}
	if len(f.to.kept) > 3 || strings.Count(f.log.String(), "are no reports") != 1 {
		t.Errorf("%d reports, the log says %q", len(f.to.kept), f.log)
	}
	for _, r := range f.to.kept {
		if r.Node != "host" || r.To.Sub(r.From) > 10*time.Second || time.Since(r.From) > time.Minute {
			t.Errorf("%s, %v to %v", r.Node, r.From, r.To)
		}
	}
}

// A report that is not kept comes again, the same bytes, until it is. What comes meanwhile is in
// the next one.
func TestReportsComeAgain(t *testing.T) {
	t.Parallel()
	f := start(t, 3)
	for i := range 3 {
		f.send(call("m", "i", 0, true, 0, time.Now(), ""))
		f.arrived()
		await(t, "an attempt", func() bool {
			f.to.mu.Lock()
			defer f.to.mu.Unlock()
			return len(f.to.came) > i
		})
	}
	await(t, "the calls", func() bool {
		rows, _, _ := f.to.sum()
		return rows["m/i"] != nil && rows["m/i"].Count == 3
	})
	f.in.Close()
	for i := range 3 {
		if !bytes.Equal(f.to.came[i], f.to.came[i+1]) {
			t.Errorf("attempt %d has other bytes", i+1)
		}
	}
	if rows, _, _ := f.to.sum(); rows["m/i"].Count != 3 {
		t.Errorf("%d calls", rows["m/i"].Count)
	}
}

// Interfaces and failures are bounded, and all calls are counted.
func TestBounds(t *testing.T) {
	t.Parallel()
	f := start(t, 0)
	f.to.mu.Lock() // nothing is taken while all of this comes
	const calls = 3000
	for i := range calls {
		f.send(call("m", fmt.Sprint("i", i), 0, false, 9, time.Now(), strings.Repeat("x", 2000)))
	}
	f.arrived()
	f.to.mu.Unlock()
	var rows map[string]*stats.Row
	var failures []stats.Failure
	var sum, lost uint64
	await(t, "all calls", func() bool {
		rows, failures, lost = f.to.sum()
		sum = 0
		for _, r := range rows {
			sum += r.Codes[9]
		}
		return sum >= calls && len(failures)+int(lost) >= calls
	})
	f.in.Close()
	if sum != calls || rows[stats.Other+"/"+stats.Other] == nil || len(failures)+int(lost) != calls || lost == 0 ||
		lost != f.in.Stats().LostFailures {
		t.Errorf("%d calls of %d interfaces, %d failures, %d lost", sum, len(rows), len(failures), lost)
	}
}

// Close does not wait for long for a keeper that takes nothing, and says what is lost.
func TestCloseEnds(t *testing.T) {
	t.Parallel()
	f := start(t, -1)
	f.send(call("m", "i", 0, true, 0, time.Now(), ""))
	f.arrived()
	began := time.Now()
	f.in.Close()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if !strings.Contains(f.log.String(), "a report of calls is lost") {
		t.Errorf("the log says %q", f.log)
	}
	if _, err := intake.New(intake.Config{Addr: "127.0.0.1:x"}); err == nil {
		t.Error("an address that is none is accepted")
	}
}

// await waits for a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}
