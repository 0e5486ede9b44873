package engine

import (
	"testing"
)

// A buffer has the requested capacity, is reused, and is released when it was not needed for a
// while.
func TestBufferPool(t *testing.T) {
	t.Parallel()
	var p bufferPool
	for _, n := range []int{
		0, 1, 511, 512, 513, 1 << 16, 1<<20 - 1, 1 << 20, 1<<20 + 1, maxBuffer, maxBuffer + 1, 3 << 20,
	} {
		b := p.get(n)
		if len(b) != 0 || cap(b) < n {
			t.Errorf("get(%d) has %d of %d bytes", n, len(b), cap(b))
		}
		before := p.held
		p.put(b)
		if kept := p.held > before; kept != (n <= maxBuffer) {
			t.Errorf("put of %d bytes: kept is %v", cap(b), kept)
		}
		if again := p.get(n); n <= maxBuffer && &again[:1][0] != &b[:1][0] {
			t.Errorf("get(%d) made another buffer", n)
		}
	}
	p.put(make([]byte, 0, 700)) // a buffer made by append, of a size between two classes
	if b := p.get(512); cap(b) != 700 {
		t.Errorf("got one of %d bytes", cap(b))
	}
}

func TestBufferPoolIsBoundedAndTrimmed(t *testing.T) {
	t.Parallel()
	var p bufferPool
	for range 100 {
		p.put(make([]byte, 0, 1<<20))
	}
	if p.held > poolBound {
		t.Errorf("%d bytes are held", p.held)
	}
	p.trim(trimPeriod) // all of them were put after the pool was made
	one := p.get(1 << 20)
	p.put(one)
	p.trim(2*trimPeriod - 1)
	if p.held != poolBound {
		t.Errorf("%d bytes are held too early", p.held)
	}
	p.trim(2 * trimPeriod)
	if p.held != 1<<20 {
		t.Errorf("%d bytes are held though one buffer was in use", p.held)
	}
}

func TestGrowKeepsTheBytes(t *testing.T) {
	t.Parallel()
	var p bufferPool
	b := append(p.get(3), "abc"...)
	b = p.grow(b, 5000)
	if string(b) != "abc" || cap(b)-len(b) < 5000 {
		t.Errorf("%q with room for %d", b, cap(b)-len(b))
	}
}
