package bench

import (
	"math/rand/v2"
	"testing"
)

func TestStamp(t *testing.T) {
	t.Parallel()
	for _, s := range []stamp{
		{}, {stream: maxStreams - 1, seq: 1<<32 - 1, at: 1<<32 - 1}, {stream: 1, seq: 2, at: 3},
		{stream: 0x00ff00, seq: 0xff00ff00, at: 0x02030405},
	} {
		var b [stampLen]byte
		s.put(b[:])
		if got, err := readStamp(b[:]); err != nil || got != s {
			t.Errorf("%+v became %+v, %v", s, got, err)
		}
	}
	// The last one is the stamp of a command.
	for _, bad := range []string{"", "AAAAAAAAAAAAAAA", "AAAA AAAAAAAAAAA", "AAAAAAAAAAAAAAA=", "xxxxxxxxxxxxxxxx"} {
		if got, err := readStamp([]byte(bad)); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

// Any other byte at any position of a stamp is noticed.
func TestStampChanged(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var b [stampLen]byte
		stamp{stream: rnd.Uint32N(maxStreams), seq: rnd.Uint32(), at: rnd.Uint32()}.put(b[:])
		for i, was := range b {
			for v := range 256 {
				if b[i] = byte(v); b[i] == was {
					continue
				}
				if got, err := readStamp(b[:]); err == nil {
					t.Fatalf("%q with byte %#x at %d is taken for %+v", b, v, i, got)
				}
			}
			b[i] = was
		}
	}
}

// The time of a stamp is right for any clock of the run, also if it comes from another process
// whose clock is a little ahead.
func TestStampTime(t *testing.T) {
	t.Parallel()
	for _, now := range []int64{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1 << 40} {
		for _, age := range []int64{-5, 0, 1, 97, 120_000_000, 1<<31 - 1} {
			if got := (stamp{at: uint32(now - age)}).since(now); got != now-age {
				t.Errorf("at %d what is %d old is of %d", now, age, got)
			}
		}
	}
}

// TestAccount plays streams with known faults in random order. The account must find exactly those.
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
				a.arrived(seq, n, &got)
				want.Duplicated++
			}
			a.arrived(seq, n, &got)
		}
		rnd.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		for _, seq := range held {
			before := a.next
			a.arrived(seq, n, &got)
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

// TestAccountAbsence has a receiver that is away for a while: messages sent before its return need
// not arrive, but those that do must have no gap.
func TestAccountAbsence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after []uint32 // what arrives when 0 and 1 have, and the receiver was away until 5 was next; 8 are sent
		want  Audit
	}{
		"nothing in between":  {[]uint32{5, 6, 7}, Audit{Expected: 5}},
		"the last in between": {[]uint32{4, 5, 6, 7}, Audit{Expected: 6}},
		"all in between":      {[]uint32{2, 3, 4, 5, 6, 7}, Audit{Expected: 8}},
		"a gap in between":    {[]uint32{2, 4, 5, 6, 7}, Audit{Expected: 8, Lost: 1}},
		"late":                {[]uint32{7}, Audit{Expected: 5, Lost: 2}},
		"nothing any more":    {nil, Audit{Expected: 5, Lost: 3}},
		"from before":         {[]uint32{1, 5, 6, 7}, Audit{Expected: 5, Duplicated: 1}},
		"out of order":        {[]uint32{6, 5, 7}, Audit{Expected: 5, Reordered: 1}},
	} {
		var a account
		var got Audit
		a.arrived(0, 8, &got)
		a.arrived(1, 8, &got)
		a.resume(5)
		for _, seq := range c.after {
			a.arrived(seq, 8, &got)
		}
		a.close(8, &got)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A sequence number that was never sent does not count as a gap, whether the number of sent
// messages is known at once or only at the end.
func TestAccountNeverSent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sent    uint32 // as far as is known on arrival; 10 are at the end
		arrived []uint32
		want    Audit
	}{
		"known": {10, []uint32{0, 1, 10, 2, 1 << 31, 3, 1<<32 - 1, 4, 5, 6, 7, 8, 9}, Audit{Expected: 10, Unexpected: 3}},
		"far ahead": {
			unknown, []uint32{0, 1, 1<<32 - 1, 2, 2 + farthest + 2, 3, 4, 5, 6, 7, 8, 9}, Audit{Expected: 10, Unexpected: 2},
		},
		"as far as it is": {
			unknown, []uint32{0, 1, 12, 2, 3, 4, 5, 6, 7, 8}, Audit{Expected: 10, Lost: 1, Unexpected: 1, Reordered: 7},
		},
		"after the last": {unknown, []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13}, Audit{Expected: 10, Unexpected: 3}},
		"twice": {
			unknown, []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10}, Audit{Expected: 10, Unexpected: 1, Duplicated: 1},
		},
	} {
		var a account
		var got Audit
		for _, seq := range c.arrived {
			a.arrived(seq, c.sent, &got)
		}
		a.close(10, &got)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if n := uint64(len(c.arrived)); n != got.Expected-got.Lost+got.Duplicated+got.Unexpected {
			t.Errorf("%s: %d arrived: %+v", name, n, got)
		}
	}
}
