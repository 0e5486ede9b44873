package engine

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// connRate limits how often one address may connect. Its size does not depend on the number of
// addresses: each address has one cell per row, which it shares by chance with others. It is
// refused only when all its cells are full. Its listener guards it.
type connRate struct {
	start time.Time // times are relative to it, so that clock changes have no effect
	each  time.Duration
	depth time.Duration // capacity of a cell
	seeds [rateRows]maphash.Seed
	cells [rateRows][rateCells]time.Duration // when the cell will be empty
}

const (
	rateRows  = 2
	rateCells = 1 << 14
)

// newConnRate allows perSecond connections per second and bursts of twice as many. nil means no
// limit.
func newConnRate(perSecond int) *connRate {
	if perSecond <= 0 {
		return nil
	}
	f := &connRate{start: time.Now(), each: time.Second / time.Duration(perSecond), depth: 2 * time.Second}
	for i := range f.seeds {
		f.seeds[i] = maphash.MakeSeed()
	}
	return f
}

// allow counts a connection. It returns false if its address has connected too often.
func (f *connRate) allow(from netip.Addr, now time.Duration) bool {
	b := from.As16()
	var at [rateRows]*time.Duration
	full := 0
	for i := range f.cells {
		at[i] = &f.cells[i][maphash.Bytes(f.seeds[i], b[:])%rateCells]
		if *at[i]+f.each > now+f.depth {
			full++
		}
	}
	if full == rateRows {
		return false
	}
	for _, cell := range at { // a cell that other addresses have filled stays full
		*cell = min(max(*cell, now)+f.each, now+f.depth)
	}
	return true
}
