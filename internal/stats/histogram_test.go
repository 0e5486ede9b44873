package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Each duration is in a bucket whose end is at most a sixteenth larger, and buckets follow each
// other without a gap.
func TestBuckets(t *testing.T) {
	t.Parallel()
	for b := range Buckets - 1 {
		upper := int64(Upper(b))
		if Bucket(upper) != b || Bucket(upper+1) != b+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d, and the next in %d", b, upper, Bucket(upper), Bucket(upper+1))
		}
		if width := upper - int64(Upper(b-1)); b > 0 && width > (upper-width+1)/16 {
			t.Fatalf("bucket %d from %d has width %d", b, upper-width+1, width)
		}
	}
	for ns, want := range map[int64]int{
		math.MinInt64: 0, -1: 0, 0: 0, 1023: 0, 1024: 1, 1087: 1, 1088: 2, 2047: 16, 2048: 17,
		1<<40 - 1: Buckets - 2, 1 << 40: Buckets - 1, math.MaxInt64: Buckets - 1,
	} {
		if got := Bucket(ns); got != want {
			t.Errorf("Bucket(%d) = %d, want %d", ns, got, want)
		}
	}
	if Upper(Buckets-1) != math.MaxInt64 {
		t.Error("the last bucket has an end")
	}
}

// Quantiles are those of the sorted durations, or at most a sixteenth larger.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var parts [2]Histogram
		var all []time.Duration
		sum := time.Duration(0)
		for range 1 + r.IntN(300) {
			d := time.Duration(math.Exp(r.Float64() * 30)) // 1 ns to 3 hours
			parts[r.IntN(2)].Add(d)
			all, sum = append(all, d), sum+d
		}
		slices.Sort(all)
		h := parts[0]
		h.Merge(&parts[1])
		if int(h.Count()) != len(all) || h.Sum != sum || h.Max != all[len(all)-1] || h.Mean() != sum/time.Duration(len(all)) {
			t.Fatalf("count %d sum %v max %v of %v", h.Count(), h.Sum, h.Max, all)
		}
		for _, q := range []float64{-1, 0, 0.01, 0.5, 0.9, 0.95, 0.99, 1, 2} {
			exact := all[min(max(int(math.Ceil(q*float64(len(all))))-1, 0), len(all)-1)]
			got := h.Quantile(q)
			most := max(exact+exact/16, 1<<firstBits)
			if exact >= 1<<lastBits {
				most = h.Max
			}
			if got < exact || got > most {
				t.Fatalf("quantile %v of %d durations is %v, want %v", q, len(all), got, exact)
			}
		}
	}
	var empty Histogram
	if empty.Quantile(0.5) != 0 || empty.Mean() != 0 {
		t.Error("an empty histogram has quantiles")
	}
}

func TestSumsDoNotWrap(t *testing.T) {
	t.Parallel()
	var h Histogram
	h.Add(-time.Second)
	h.Add(math.MaxInt64)
	h.Add(math.MaxInt64)
	if h.Sum != math.MaxInt64 || h.Count() != 3 || h.Quantile(0.1) != 1<<firstBits-1 {
		t.Errorf("sum %d of %d, least %d", h.Sum, h.Count(), h.Quantile(0.1))
	}
}

// Read adds, and refuses what is not a histogram without a change.
func TestReadHistogram(t *testing.T) {
	t.Parallel()
	var h, sum Histogram
	for _, d := range []time.Duration{3, time.Microsecond, time.Millisecond, time.Millisecond, time.Hour} {
		h.Add(d)
	}
	b := h.Append(nil)
	for range 2 {
		if rest, err := sum.Read(append(b, 1, 2)); err != nil || string(rest) != "\x01\x02" {
			t.Fatal(rest, err)
		}
	}
	twice := h
	twice.Merge(&h)
	if sum != twice {
		t.Errorf("read %v, want %v", sum, twice)
	}
	for n := range b {
		if _, err := sum.Read(b[:n]); err == nil || sum != twice {
			t.Fatalf("%d bytes of %d: %v", n, len(b), err)
		}
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}
	for _, bad := range [][]byte{
		{2, 0, 0, 0},             // another version
		{1, 1, 0, 0},             // a sum without calls
		{1, 0, 1, 0},             // a longest call without calls
		{1, 1, 0, 1, 0, 0},       // a bucket without calls
		{1, 1, 1, 2, 0, 1, 0, 1}, // a bucket twice
		{1, 1, 1, 1, 1, 1},       // the longest is not in the last bucket
		{1, 1, 2, 1, 0, 1},       // the longest is more than the sum
		{1, 0, 0, 1, 0xe2, 3, 1}, // bucket 482
		slices.Concat([]byte{1, 0, 0, 1, 0}, huge),                           // more calls than counted
		slices.Concat([]byte{1, 0x80, 8, 0x80, 8, 2, 0}, huge, []byte{1, 2}), // more calls than fit
	} {
		if _, err := sum.Read(bad); err == nil || sum != twice {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
