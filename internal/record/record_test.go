package record

import (
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// Calls of batches and others are all counted, while Take runs beside them.
func TestEachCallIsCountedOnce(t *testing.T) {
	t.Parallel()
	const goroutines, calls = 8, 5000
	r := New("chat", "message", "close")
	named := r.ID("shop", "buy")
	var recording sync.WaitGroup
	for g := range goroutines {
		recording.Go(func() {
			var b Batch
			b.Init(r.Shard())
			other := r.Shard()
			for i := range calls {
				b.Restart()
				b.Add(2, uint32(i%10/9)) // a tenth fails with code 1
				other.Add(3, r.Now(), 0)
				r.Add(named, time.Duration(i), uint32(i%2)*uint32(g+1))
				if i%100 == 0 {
					b.Flush()
				}
			}
			b.Flush()
		})
	}
	sums := make(map[string]*stats.Row)
	done := make(chan struct{})
	go func() { recording.Wait(); close(done) }()
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		rows, _, _ := r.Take()
		for i := range rows {
			name := rows[i].Module + "/" + rows[i].Interface
			if sums[name] == nil {
				sums[name] = &stats.Row{}
			}
			sums[name].Merge(&rows[i])
		}
	}
	const n = goroutines * calls
	for name, want := range map[string]stats.Row{
		"chat/message": {Count: n, Success: n / 10 * 9, Codes: map[uint32]uint64{1: n / 10}},
		"chat/close":   {Count: n, Success: n},
		"shop/buy": {Count: n, Success: n / 2, Codes: map[uint32]uint64{1: calls / 2, 2: calls / 2, 3: calls / 2,
			4: calls / 2, 5: calls / 2, 6: calls / 2, 7: calls / 2, 8: calls / 2}},
	} {
		got := sums[name]
		if got == nil || got.Count != want.Count || got.Success != want.Success ||
			!reflect.DeepEqual(got.Codes, want.Codes) || got.Latency.Count() != want.Count {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if len(sums) != 3 {
		t.Errorf("%d rows", len(sums))
	}
	if buy := sums["shop/buy"]; buy.Latency.Max != calls-1 || buy.Latency.Sum != goroutines*calls*(calls-1)/2 {
		t.Errorf("longest %d, sum %d", buy.Latency.Max, buy.Latency.Sum)
	}
	rows, failed, lost := r.Take()
	if len(rows)+len(failed) > 0 || lost > 0 {
		t.Errorf("%d rows are left", len(rows))
	}
}

// What is taken can be encoded and read.
func TestRowsCanBeReported(t *testing.T) {
	t.Parallel()
	r := New("chat", "message")
	for i := range 200 {
		r.Add(2, time.Duration(1)<<(i%63), uint32(i))
	}
	rows, _, _ := r.Take()
	b, err := stats.AppendReport(nil, &stats.Report{Seq: 1, Node: "n", Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	back, err := stats.ReadReport(b)
	if err != nil || !reflect.DeepEqual(back.Rows, rows) || rows[0].Count != 200 ||
		len(rows[0].Codes) != stats.MaxCodes+1 {
		t.Errorf("%v: %+v", err, rows)
	}
}

// The pairs are bounded, and calls of others are counted.
func TestPairsAreBounded(t *testing.T) {
	t.Parallel()
	r := New("chat", "message")
	const more = 10
	for i := range stats.MaxPairs - 3 + more {
		r.Add(r.Interface(fmt.Sprint(i)), 1, 0)
	}
	if r.ID("chat", "message") != 2 || r.Interface("0") != r.ID("chat", "0") || r.Interface("new") != Other {
		t.Error("a name has lost its ID")
	}
	rows, _, _ := r.Take()
	sum := uint64(0)
	for i := range rows {
		sum += rows[i].Count
		if rows[i].Interface == stats.Other && rows[i].Count != more {
			t.Errorf("%d calls of others", rows[i].Count)
		}
	}
	if len(rows) != stats.MaxPairs-2 || sum != stats.MaxPairs-3+more {
		t.Errorf("%d rows, %d calls", len(rows), sum)
	}
	if a, b := r.ID("a\x00b", ""), r.ID("a\uFFFDb", "(none)"); a != b {
		t.Error("a name is not cleaned")
	}
}

// The log of failures is bounded, one pair leaves room for the others, and what is lost is counted.
func TestFailuresAreBounded(t *testing.T) {
	t.Parallel()
	r := New("chat", "message", "close")
	texts := 0
	text := func() string { texts++; return "failed\n" }
	for range 1000 {
		r.Fail(2, 7, "192.0.2.1:1", text)
	}
	r.Fail(3, 8, "", text)
	_, failed, lost := r.Take()
	if len(failed) != maxPairFailures+1 || lost != 1000-maxPairFailures || texts != len(failed) {
		t.Fatalf("%d failures, %d lost, %d texts", len(failed), lost, texts)
	}
	for _, f := range failed {
		if time.Since(f.Time) < 0 || time.Since(f.Time) > time.Minute {
			t.Errorf("at %v", f.Time)
		}
	}
	failed[0].Time, failed[maxPairFailures].Time = time.Time{}, time.Time{}
	first := stats.Failure{Module: "chat", Interface: "message", Code: 7, Addr: "192.0.2.1:1", Text: `failed\n`}
	last := stats.Failure{Module: "chat", Interface: "close", Code: 8, Text: `failed\n`}
	if failed[0] != first || failed[maxPairFailures] != last {
		t.Errorf("%+v", failed)
	}
	for i := range 2 * maxFailures {
		r.Fail(r.ID("m", fmt.Sprint(i)), 1, "", text)
	}
	if _, failed, lost = r.Take(); len(failed) != maxFailures || lost != maxFailures {
		t.Errorf("%d failures, %d lost", len(failed), lost)
	}
}

// The clock agrees with time.Now, and so does a call's duration.
func TestClock(t *testing.T) {
	t.Parallel()
	r := New("chat", "message")
	t.Logf("ticks of the processor: %v", r.clock.processor)
	var b Batch
	b.Init(r.Shard())
	for range 3 { // Take adjusts the clock
		before := time.Now()
		b.Restart()
		after := time.Now()
		for time.Since(after) < 20*time.Millisecond {
		}
		least := time.Since(after)
		b.Add(2, 0)
		b.Flush()
		most := time.Since(before)
		rows, _, _ := r.Take()
		if got := rows[0].Latency.Sum; got < least-least/100 || got > most+most/100 {
			t.Errorf("took %v, want %v to %v", got, least, most)
		}
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	a := moment{1000, 5000}
	for name, c := range map[string]struct {
		ticks, nanoseconds int64
		plausible          bool
	}{
		"2 GHz": {2000, 1000, true}, "100 MHz": {100, 1000, true}, "40 MHz": {40, 1000, false},
		"25 GHz": {25_000, 1000, false}, "no tick": {0, 1000, false}, "backwards": {-2000, 1000, false},
	} {
		scale, plausible := scaleBetween(a, moment{a.ticks + c.ticks, a.nanoseconds + c.nanoseconds})
		if plausible != c.plausible {
			t.Errorf("%s: plausible %v", name, plausible)
		}
		if got := toNanoseconds(c.ticks*1e9, scale); plausible && math.Abs(float64(got)-1e12) > 1e4 {
			t.Errorf("%s: %d ns", name, got)
		}
	}
	if toNanoseconds(-1, sameScale) != 0 || toNanoseconds(math.MaxInt64, sameScale) != math.MaxInt64 {
		t.Error("the ends of the scale")
	}
	none := &clock{began: time.Now(), scale: sameScale}
	if first := none.now(); first > none.now() || none.adjust() != sameScale {
		t.Error("without a counter of the processor a tick is a nanosecond")
	}
}

// T21: a record allocates nothing.
func TestRecordsDoNotAllocate(t *testing.T) {
	r := New("chat", "message")
	var b Batch
	b.Init(r.Shard())
	s := r.Shard()
	b.Add(2, 1)
	b.Flush()
	s.Add(2, 0, 1)
	if n := testing.AllocsPerRun(1000, func() {
		b.Add(2, 0)
		b.Add(2, 1)
		s.Add(r.ID("chat", "message"), r.Now(), 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBatch(b *testing.B) {
	var batch Batch
	batch.Init(New("chat", "message").Shard())
	b.ReportAllocs()
	for range b.N {
		batch.Add(2, 0)
	}
}

// A batch of one call, as of a client that waits for each answer.
func BenchmarkBatchOfOne(b *testing.B) {
	var batch Batch
	batch.Init(New("chat", "message").Shard())
	b.ReportAllocs()
	for range b.N {
		batch.Restart()
		batch.Add(2, 0)
		batch.Flush()
	}
}

func BenchmarkShard(b *testing.B) {
	r := New("chat", "message")
	s := r.Shard()
	b.ReportAllocs()
	for range b.N {
		s.Add(2, r.Now(), 0)
	}
}

func BenchmarkID(b *testing.B) {
	r := New("chat", "message")
	b.ReportAllocs()
	for range b.N {
		r.ID("chat", "message")
	}
}

// A handler that fails each time, and whose failures have no room.
func BenchmarkFail(b *testing.B) {
	r := New("chat", "message")
	text := func() string { return "failed" }
	b.ReportAllocs()
	for range b.N {
		r.Fail(2, 1, "192.0.2.1:4711", text)
	}
}

// A second's work with a thousand pairs.
func BenchmarkTake(b *testing.B) {
	r := New("chat", "message")
	for i := range stats.MaxPairs {
		r.ID("chat", fmt.Sprint(i))
	}
	for range b.N {
		for i := range stats.MaxPairs {
			r.Add(ID(i), 1, 0)
		}
		r.Take()
	}
}

// Short calls that are counted together have their number and their time, also between others.
func TestRunsOfShortCalls(t *testing.T) {
	t.Parallel()
	r := New("chat", "message", "close")
	var b Batch
	b.Init(r.Shard())
	began := time.Now()
	const rounds = 1000
	for i := range rounds {
		for range i % 40 {
			b.Add(2, 0)
		}
		b.Add(3, 0)
		b.Add(2, uint32(i%2))
		if i%50 == 0 {
			for busy := time.Now(); time.Since(busy) < 5*time.Microsecond; {
			}
			b.Add(3, 0)
		}
	}
	b.Flush()
	whole := time.Since(began)
	rows, _, _ := r.Take()
	message, other := &rows[0], &rows[1]
	want := uint64(rounds)
	for i := range rounds {
		want += uint64(i % 40)
	}
	if message.Count != want || message.Success != want-rounds/2 || other.Count != rounds+rounds/50 {
		t.Errorf("%d messages, %d succeeded, %d others", message.Count, message.Success, other.Count)
	}
	sum := message.Latency.Sum + other.Latency.Sum
	if sum > whole+whole/20 || sum < whole/2 || other.Latency.Max < 5*time.Microsecond {
		t.Errorf("in all %v, the longest %v, within %v", sum, other.Latency.Max, whole)
	}
	if _, err := stats.AppendReport(nil, &stats.Report{Seq: 1, Rows: rows}); err != nil {
		t.Error(err)
	}
	reports := stats.Encode(&stats.Report{Seq: 1, Node: "n", Rows: rows})
	if _, err := stats.ReadReport(reports[0]); err != nil {
		t.Error(err)
	}
}

// A run of short calls stays in its bucket when the clock is found to be slower.
func TestRunsAfterAChangeOfTheScale(t *testing.T) {
	t.Parallel()
	r := New("chat", "message")
	s := r.Shard()
	var b Batch
	b.Init(s)
	for range 5 {
		b.last = b.clock.now() - b.short + 100
		b.Add(2, 0)
	}
	s.setScale(s.scale + s.scale/4)
	b.Flush()
	rows, _, _ := r.Take()
	if _, err := stats.ReadReport(stats.Encode(&stats.Report{Seq: 1, Node: "n", Rows: rows})[0]); err != nil {
		t.Errorf("%v: %+v", err, rows[0].Latency.Max)
	}
}
