package engine

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// One address gets its rate and a burst. It does not limit other addresses, however many there are.
func TestInflux(t *testing.T) {
	t.Parallel()
	const perSecond = 10
	f := newConnRate(perSecond)
	tries := func(from string, now time.Duration) (n int) {
		for range 1000 {
			if f.allow(netip.MustParseAddr(from), now) {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		from string
		at   time.Duration
		want int
	}{
		{"192.0.2.1", 0, 2 * perSecond},
		{"192.0.2.1", 0, 0},
		{"192.0.2.2", 0, 2 * perSecond},
		{"192.0.2.1", time.Second, perSecond},
		{"192.0.2.1", time.Hour, 2 * perSecond}, // the burst does not grow with a longer absence
	} {
		if got := tries(step.from, step.at); got != step.want {
			t.Errorf("%s at %v: %d let in, want %d", step.from, step.at, got, step.want)
		}
	}
	refused := 0
	for i := range 2000 { // addresses that connect too often and share cells with addresses that do not
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 0x0A000000+uint32(i))
		from := netip.AddrFrom4(b)
		if i < 1000 {
			for range 3 * perSecond {
				f.allow(from, 2*time.Hour)
			}
		} else if !f.allow(from, 2*time.Hour) {
			refused++
		}
	}
	if refused > 20 { // (1000/16384)^2, 4 of 1,000
		t.Errorf("%d of 1000 that came once were refused", refused)
	}
}

func TestConnectRate(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	ln := serve(t, e, funcs{data: echo}, ListenOptions{ConnectRate: 2})
	served := 0
	for range 20 {
		if alive(dial(t, ln)) {
			served++
		}
	}
	if s := ln.Stats(); served < 4 || served == 20 || s.OverRate != uint64(20-served) {
		t.Errorf("%d of 20 were served, stats %+v", served, s)
	}
}
