package gateway

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"sluice/internal/link"
)

// A queue that never empties keeps only what is not acknowledged.
func TestAQueueThatNeverEmptiesStaysSmall(t *testing.T) {
	t.Parallel()
	q := &queue{}
	payload := make([]byte, 1000)
	q.push(payload, 0)
	for range 10_000 {
		q.push(payload, 0)
		q.send(q.unsent + recordHeader + len(payload))
		q.pop(len(payload))
	}
	if q.waiting != 1 || q.out != 0 || q.size() != recordHeader+len(payload) || cap(q.records) > 10*len(payload) {
		t.Errorf("%d wait, %d out, %d bytes in %d", q.waiting, q.out, q.size(), cap(q.records))
	}
}

// Whatever is sent, acknowledged, sent again and refused, in any order: a queue agrees with a list of messages.
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
		var out, waiting []message
		size := func(of []message) (n int) {
			for _, m := range of {
				n += recordHeader + len(m.data)
			}
			return n
		}
		for step := range 500 {
			switch op := rng.IntN(100); {
			case op < 40:
				m := message{fmt.Appendf(nil, "%d%0*d", step, rng.IntN(300), 0), uint8(rng.IntN(2))}
				q.push(m.data, m.flags)
				waiting = append(waiting, m)
			case op < 70 && q.waits():
				data, flags, next := q.record(q.unsent)
				if m := waiting[0]; !bytes.Equal(data, m.data) || flags != m.flags {
					t.Fatalf("seed %d: next is %q %x, want %q %x", seed, data, flags, m.data, m.flags)
				}
				q.send(next)
				out, waiting = append(out, waiting[0]), waiting[1:]
			case op < 95 && len(out) > 0:
				q.pop(len(out[0].data))
				out = out[1:]
			case op < 98:
				for i := range out {
					out[i].flags |= link.FlagRedelivered
				}
				if n, b, lost := q.rewind(); n != len(out) || b != size(out) || lost != 0 {
					t.Fatalf("seed %d: %d messages and %d bytes go back, want %d and %d", seed, n, b, len(out), size(out))
				}
				out, waiting = nil, append(out[:len(out):len(out)], waiting...)
			case op == 99:
				if n, b := q.cut(); n != len(waiting) || b != size(waiting) {
					t.Fatalf("seed %d: %d messages and %d bytes are cut, want %d and %d", seed, n, b, len(waiting), size(waiting))
				}
				waiting = nil
			}
			if q.size() != size(out)+size(waiting) || q.out != len(out) || q.waiting != len(waiting) {
				t.Fatalf("seed %d: %d bytes, %d out, %d waiting; want %d, %d, %d", seed, q.size(), q.out, q.waiting, size(out)+size(waiting), len(out), len(waiting))
			}
		}
	}
}

// Messages that were popped in another order than theirs: at the latest when none is out that is seen, and what goes back is never the middle of one.
func TestAQueueInDisorder(t *testing.T) {
	t.Parallel()
	sizes := []int{5, 40, 300}
	for first := range sizes {
		for second := range sizes {
			q := &queue{}
			for _, n := range append([]int{7}, sizes...) {
				q.push(bytes.Repeat([]byte{0, 0, 0, 2}, n/4), 0)
				q.send(len(q.records))
			}
			q.push([]byte("waits"), 0)
			ok := q.pop(4)
			if first != 0 {
				ok = q.pop(sizes[first]/4*4) && ok
			}
			if second != first && second != 0 {
				ok = q.pop(sizes[second]/4*4) && ok
			}
			out := q.out
			n, _, lost := q.rewind()
			if first == 0 && second == 0 && (!ok || n != 3 || lost != 0) || first != 0 && (n != 0 || lost != out) {
				t.Errorf("%d, %d: %v, %d messages go back, %d are lost", first, second, ok, n, lost)
			}
			for at := q.first; at < len(q.records); {
				if payload, _, next := q.record(at); next > len(q.records) || len(payload) == 0 {
					t.Errorf("%d, %d: not a message at %d", first, second, at)
				} else {
					at = next
				}
			}
		}
	}
}

// Buffers are used again, the free list has its bound, and gives up what lies idle.
func TestQueues(t *testing.T) { // alone: it counts allocations
	var l queues
	var taken []*queue
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
