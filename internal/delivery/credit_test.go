package delivery

import (
	"math/rand/v2"
	"testing"
)

// Clients that wait for credit share it equally by bytes, whatever the size of their messages. A
// new client with a small message is first. No client is overtaken for ever.
func TestCreditQueue(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 5))
	var q creditQueue
	const share = 64 << 10
	sizes := []int{100, 1000, 60_000, 1 << 20}
	sent := make(map[*Client]int)
	of := make(map[*Client]int)
	make1 := func(size int) *Client {
		s := &Client{queue: &Queue{}}
		s.queue.push(make([]byte, size), 0)
		of[s] = size
		return s
	}
	for _, size := range sizes {
		q.push(make1(size), share)
	}
	for range 200_000 {
		w := q.pop()
		sent[w.c] += of[w.c]
		q.served(w, of[w.c])
		q.requeue(w, of[w.c], share)
		if rng.IntN(1000) == 0 {
			small := make1(10)
			q.push(small, share)
			if !q.isFirst(small) {
				large := 0
				for !q.isFirst(small) {
					w := q.pop()
					sent[w.c] += of[w.c]
					if of[w.c] > share {
						large++
					}
					q.served(w, of[w.c])
					q.requeue(w, of[w.c], share)
				}
				if large > 1 {
					t.Fatalf("%d large messages went before a small one", large)
				}
			}
			if !q.remove(small) || q.remove(small) {
				t.Fatal("a client is not taken out, or twice")
			}
			delete(of, small)
		}
	}
	total := 0
	for _, n := range sent {
		total += n
	}
	for s, n := range sent {
		if fair := total / len(sizes); n < fair/2 || n > 2*fair {
			t.Errorf("the client with messages of %d bytes got %d of %d bytes", of[s], n, total)
		}
	}
}
