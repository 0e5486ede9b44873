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

// TestAccountAbsence has the receiver away for a while: what was sent before it was back need not arrive, but what does arrive must be without a gap.
func TestAccountAbsence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after []uint32 // what arrives when 0 and 1 have, and the receiver was away until 5 was next; 8 are sent
		want  Audit
	}{
		"nothing in between":  {[]uint32{5, 6, 7}, Audit{Expected: 5, Received: 5}},
		"the last in between": {[]uint32{4, 5, 6, 7}, Audit{Expected: 6, Received: 6}},
		"all in between":      {[]uint32{2, 3, 4, 5, 6, 7}, Audit{Expected: 8, Received: 8}},
		"a gap in between":    {[]uint32{2, 4, 5, 6, 7}, Audit{Expected: 8, Received: 7, Lost: 1}},
		"late":                {[]uint32{7}, Audit{Expected: 5, Received: 3, Lost: 2}},
		"nothing any more":    {nil, Audit{Expected: 5, Received: 2, Lost: 3}},
		"from before":         {[]uint32{1, 5, 6, 7}, Audit{Expected: 5, Received: 6, Duplicated: 1}},
		"out of order":        {[]uint32{6, 5, 7}, Audit{Expected: 5, Received: 5, Reordered: 1}},
	} {
		var a account
		var got Audit
		a.arrived(0, &got)
		a.arrived(1, &got)
		a.resume(5)
		for _, seq := range c.after {
			a.arrived(seq, &got)
		}
		a.close(8, &got)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
