package stats

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"time"
)

// The buckets of a Histogram: one up to first, then steps of equal width for each power of two, and
// one from last on.
const (
	firstBits = 10 // 1.024 us
	lastBits  = 40 // 18.3 minutes
	stepBits  = 4
	steps     = 1 << stepBits
)

// Buckets is the number of buckets of a Histogram.
const Buckets = (lastBits-firstBits)*steps + 2

// latencyVersion is the first byte of an encoded Histogram.
const latencyVersion = 1

var errLatency = errors.New("stats: malformed latency")

// Histogram counts calls by how long they took. Between 1.024 us and 18.3 minutes the width of a
// bucket is at most a sixteenth of the values in it; shorter calls share the first bucket, and
// longer ones the last. The zero value is empty.
type Histogram struct {
	Sum    time.Duration // of all calls; at most math.MaxInt64
	Max    time.Duration // the longest call
	counts [Buckets]uint64
	n      uint64
}

// Bucket returns the bucket of a call of ns nanoseconds.
func Bucket(ns int64) int {
	switch {
	case ns < 1<<firstBits:
		return 0
	case ns >= 1<<lastBits:
		return Buckets - 1
	}
	power := bits.Len64(uint64(ns)) - 1
	step := int(ns>>(power-stepBits)) & (steps - 1)
	return 1 + (power-firstBits)*steps + step
}

// Upper returns the longest duration of a bucket; the last one has no end.
func Upper(bucket int) time.Duration {
	switch {
	case bucket <= 0:
		return 1<<firstBits - 1
	case bucket >= Buckets-1:
		return math.MaxInt64
	}
	power, step := (bucket-1)/steps+firstBits, (bucket-1)%steps
	return time.Duration(int64(steps+step+1)<<(power-stepBits) - 1)
}

// Add counts a call. A negative duration counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.AddBucket(Bucket(int64(d)), 1, d, d)
}

// AddBucket counts n calls of one bucket, which took sum together and of which the longest took
// longest.
func (h *Histogram) AddBucket(bucket int, n uint64, sum, longest time.Duration) {
	h.counts[bucket] += n
	h.n += n
	h.Sum = addDuration(h.Sum, sum)
	h.Max = max(h.Max, longest)
}

// Merge adds the calls of other to h.
func (h *Histogram) Merge(other *Histogram) {
	if other.n == 0 {
		return
	}
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.n += other.n
	h.Sum = addDuration(h.Sum, other.Sum)
	h.Max = max(h.Max, other.Max)
}

// Count returns the number of calls.
func (h *Histogram) Count() uint64 { return h.n }

// Mean returns the mean duration, or 0 without calls.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(uint64(h.Sum) / h.n)
}

// Quantile returns a duration that a share q of the calls did not exceed: the end of a bucket, or
// the longest call if that is less. So it is at least the exact quantile and, above 1 us, at most a
// sixteenth more. It is 0 without calls.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(max(1, math.Ceil(min(max(q, 0), 1)*float64(h.n))))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(Upper(i), h.Max)
		}
	}
	return h.Max
}

// Append appends the encoded Histogram to dst.
func (h *Histogram) Append(dst []byte) []byte {
	used := 0
	for _, n := range h.counts {
		if n > 0 {
			used++
		}
	}
	dst = append(dst, latencyVersion)
	dst = binary.AppendUvarint(dst, uint64(h.Sum))
	dst = binary.AppendUvarint(dst, uint64(h.Max))
	dst = binary.AppendUvarint(dst, uint64(used))
	last := 0
	for i, n := range h.counts {
		if n > 0 {
			dst = binary.AppendUvarint(dst, uint64(i-last))
			dst = binary.AppendUvarint(dst, n)
			last = i
		}
	}
	return dst
}

// Read adds the Histogram that b begins with to h, and returns the rest of b. If it is malformed, h
// is as before.
func (h *Histogram) Read(b []byte) (rest []byte, err error) {
	p := parser{rest: b}
	if p.u8() != latencyVersion {
		return b, errLatency
	}
	sum, longest, used := p.uvarint(math.MaxInt64), p.uvarint(math.MaxInt64), p.uvarint(Buckets)
	buckets := p.rest
	bucket, total := 0, uint64(0)
	for i := range used {
		gap, n := p.uvarint(Buckets), p.uvarint(math.MaxUint64-total)
		bucket, total = bucket+int(gap), total+n
		if n == 0 || gap == 0 && i > 0 || bucket >= Buckets {
			return b, errLatency
		}
	}
	if p.failed || total > math.MaxUint64-h.n || total > 0 && Bucket(int64(longest)) != bucket ||
		total == 0 && sum > 0 || longest > sum {
		return b, errLatency
	}
	rest, p.rest = p.rest, buckets
	for bucket = 0; used > 0; used-- {
		bucket += int(p.uvarint(Buckets))
		h.counts[bucket] += p.uvarint(math.MaxUint64)
	}
	h.n += total
	h.Sum = addDuration(h.Sum, time.Duration(sum))
	h.Max = max(h.Max, time.Duration(longest))
	return rest, nil
}

// addDuration returns the sum of two durations that are not negative, at most math.MaxInt64.
func addDuration(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
