package gateway

import (
	"slices"
	"time"
)

// Durations is a histogram of sampled times.
type Durations struct {
	Bounds []time.Duration // upper bounds, inclusive, ascending
	// Counts are the samples up to each bound and above the one before. It has one more element
	// than Bounds, for longer times.
	Counts []uint64
	Sum    time.Duration // of all samples
}

// durationBounds are the bounds of all Durations.
var durationBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// durations is a histogram of one loop.
type durations struct {
	counts [len(durationBounds) + 1]uint64
	sum    time.Duration
}

func (d *durations) observe(t time.Duration) {
	i, _ := slices.BinarySearch(durationBounds[:], t)
	d.counts[i]++
	d.sum += t
}

// addTo adds the samples to a histogram.
func (d *durations) addTo(all *Durations) {
	if all.Counts == nil {
		all.Bounds, all.Counts = slices.Clone(durationBounds[:]), make([]uint64, len(d.counts))
	}
	for i, n := range d.counts {
		all.Counts[i] += n
	}
	all.Sum += d.sum
}

const (
	// sampleEvery is how many messages a loop receives between two that may be timed. Only they pay
	// for reading the clock.
	sampleEvery = 64
	// sampleTime is how long a sample may take. A longer one counts with this time, so that a
	// handler that hangs does not end the sampling.
	sampleTime = time.Minute
)

// sampler times one message at a time, from when it was read. Owned by the loop.
type sampler struct {
	of     *session // whose message it is; nil: none is being timed
	number uint32   // value of the session's handled when the message is handled
	direct bool     // the message was sent to the worker at once
	began  time.Time

	message  durations // until the worker has handled it and its effects are applied
	handling durations // the same, without messages that had to wait
}

// begin starts to time the newest message of a client, unless another one is being timed. sent is
// the number of the newest message that was sent to the worker, and queued are behind it.
func (m *sampler) begin(s *session, sent uint32, queued int) {
	now := time.Now()
	switch {
	case m.of == nil || m.of.phase != phaseOpen:
	case now.Sub(m.began) < sampleTime:
		return
	default:
		m.end(sampleTime)
	}
	m.of, m.began, m.direct = s, now, queued == 0
	m.number = sent + uint32(queued)
}

// check ends the sample if it is of the client and its message is handled. handled is the number of
// the client's newest message that is.
func (m *sampler) check(s *session, handled uint32) {
	if m.of == s && int32(handled-m.number) >= 0 {
		m.end(time.Since(m.began))
	}
}

func (m *sampler) end(took time.Duration) {
	m.message.observe(took)
	if m.direct {
		m.handling.observe(took)
	}
	m.of = nil
}
