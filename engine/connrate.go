package engine

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// connRate bounds how often one address may connect. It is of one size however many addresses come: an address has a cell in each row, shared with others by
// chance, and is refused only when all its cells are full. Owned by the accept goroutine.
type connRate struct {
	start time.Time // times are counted from here, out of reach of clock changes
	each  time.Duration
	depth time.Duration // what a cell holds
	seeds [influxRows]maphash.Seed
	cells [influxRows][influxCells]time.Duration // when the cell will be empty
}

const (
	influxRows  = 2
	influxCells = 1 << 14
)

// newConnRate lets perSecond in, and twice as many at once; nil lets all in.
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

// allow counts a connection in unless its address has come too often.
func (f *connRate) allow(from netip.Addr, now time.Duration) bool {
	b := from.As16()
	var at [influxRows]*time.Duration
	full := 0
	for i := range f.cells {
		at[i] = &f.cells[i][maphash.Bytes(f.seeds[i], b[:])%influxCells]
		if *at[i]+f.each > now+f.depth {
			full++
		}
	}
	if full == influxRows {
		return false
	}
	for _, cell := range at { // one that others filled stays full
		*cell = min(max(*cell, now)+f.each, now+f.depth)
	}
	return true
}
