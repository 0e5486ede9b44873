package delivery

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// A queue that is never empty keeps only what waits.
func TestAQueueThatNeverEmptiesStaysSmall(t *testing.T) {
	t.Parallel()
	q := &Queue{}
	payload := make([]byte, 1000)
	q.push(payload, 0)
	for range 10_000 {
		q.push(payload, 0)
		q.pop(len(payload))
	}
	if q.waiting != 1 || q.Size() != recordHeader+len(payload) || cap(q.records) > 10*len(payload) {
		t.Errorf("%d wait, %d bytes in %d", q.waiting, q.Size(), cap(q.records))
	}
}

// A queue behaves like a list of messages under random operations.
func TestQueueModel(t *testing.T) {
	t.Parallel()
	type message struct {
		data  []byte
		flags uint8
	}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var all queues
		q := all.take()
		var waiting []message
		push := func(q *Queue, list []message) []message {
			m := message{fmt.Appendf(nil, "%0*d", rng.IntN(300), rng.Uint32()), uint8(rng.IntN(2))}
			q.push(m.data, m.flags)
			return append(list, m)
		}
		for range 500 {
			switch op := rng.IntN(100); {
			case op < 50:
				waiting = push(q, waiting)
			case op < 95 && len(waiting) > 0:
				data, flags := q.oldest()
				if m := waiting[0]; !bytes.Equal(data, m.data) || flags != m.flags {
					t.Fatalf("seed %d: the oldest is %q %x, want %q %x", seed, data, flags, m.data, m.flags)
				}
				q.pop(len(waiting[0].data))
				waiting = waiting[1:]
			case op < 98:
				front, list := all.take(), []message(nil)
				for range rng.IntN(4) {
					list = push(front, list)
				}
				front.join(q)
				all.put(q)
				q, waiting = front, append(list, waiting...)
			case op == 99:
				if n, _ := q.clear(); n != len(waiting) {
					t.Fatalf("seed %d: %d messages are refused, want %d", seed, n, len(waiting))
				}
				waiting = nil
			}
			size := 0
			for _, m := range waiting {
				size += recordHeader + len(m.data)
			}
			if q.Size() != size || q.waiting != len(waiting) {
				t.Fatalf("seed %d: %d bytes of %d messages, want %d of %d", seed, q.Size(), q.waiting, size, len(waiting))
			}
		}
	}
}

// Buffers are used again. The free list is bounded, and releases what it does not use.
func TestQueues(t *testing.T) { // not parallel: it counts allocations
	var l queues
	var taken []*Queue
	for range 2000 {
		q := l.take()
		q.push(make([]byte, 20<<10), 0)
		taken = append(taken, q)
	}
	for _, q := range taken {
		l.put(q)
	}
	if l.bytes > keptQueues || l.bytes < keptQueues-2*keptQueue {
		t.Errorf("%d bytes are kept", l.bytes)
	}
	if n := testing.AllocsPerRun(100, func() {
		q := l.take()
		q.push(taken[0].records[:0], 0)
		l.put(q)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for range 40 {
		l.trim()
	}
	if l.bytes > keptQueue {
		t.Errorf("%d bytes have lain idle for long and are kept", l.bytes)
	}
}

// Clients store the virtual time of a link's queue in 32 bits. When that has wrapped around, a new
// client is not taken for one that is far ahead.
func TestANewClientIsNotAhead(t *testing.T) {
	t.Parallel()
	var k Link
	k.Init(nil, [16]byte{}, 1<<20)
	lane := &k.lanes.small
	lane.now = placeUnit<<32 - 1<<20
	c := Client{queue: &Queue{}, place: uint32(lane.now / placeUnit)}
	c.queue.push([]byte("x"), 0)
	lane.push(&c, k.Share)
	if w := lane.pop(); w.from != lane.now {
		t.Errorf("it is %d bytes ahead", w.from-lane.now)
	}
}

// The lanes follow the window.
func TestLanesFollowTheWindow(t *testing.T) {
	t.Parallel()
	for _, window := range []uint32{8 << 20, 1 << 10} {
		var k Link
		k.Init(nil, [16]byte{}, window)
		half := int(window) / 2
		if k.lanes.of(&k, half-link.HeaderSize) != &k.lanes.small || k.lanes.of(&k, half) != &k.lanes.large {
			t.Errorf("window %d: messages of %d bytes are in the wrong lane", window, half)
		}
	}
}
