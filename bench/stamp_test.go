package bench

import (
	"math/rand/v2"
	"testing"
)

func TestStamp(t *testing.T) {
	t.Parallel()
	for _, s := range []stamp{{}, {stream: maxStreams - 1, seq: 1<<32 - 1, at: 1<<40 - 1}, {stream: 1, seq: 2, at: 3}, {stream: 0x00ff00, seq: 0xff00ff00, at: 0x0102030405}} {
		var b [stampLen]byte
		s.put(b[:])
		if got, err := readStamp(b[:]); err != nil || got != s {
			t.Errorf("%+v became %+v, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "AAAAAAAAAAAAAAA", "AAAA AAAAAAAAAAA", "AAAAAAAAAAAAAAA="} {
		if got, err := readStamp([]byte(bad)); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

// TestAccount plays streams with known faults in random order of events, and the account must find exactly those.
func TestAccount(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var a account
		var got, want Audit
		const n = 200
		var held []uint32 // to come later, out of order
		for seq := range uint32(n) {
			switch rnd.IntN(20) {
			case 0:
				want.Lost++
				continue
			case 1:
				held = append(held, seq)
				continue
			case 2:
				a.arrived(seq, &got)
				want.Received++
				want.Duplicated++
			}
			a.arrived(seq, &got)
			want.Received++
		}
		rnd.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		for _, seq := range held {
			before := a.next
			a.arrived(seq, &got)
			want.Received++
			if seq < before {
				want.Reordered++
			}
		}
		a.close(n, &got)
		want.Expected = n
		if got != want {
			t.Fatalf("seed %d: %+v, want %+v", seed, got, want)
		}
	}
}
