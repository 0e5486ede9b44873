package engine

import "math/bits"

const (
	minBuffer  = 512      // smallest buffer, class 0
	byHalf     = 1 << 20  // a buffer of this size or more grows by half
	maxBuffer  = 3 << 19  // largest kept, 1.5 MiB: the buffer of a slow conn with the default MaxOutput
	maxClass   = 12       // the class of maxBuffer
	poolBound  = 16 << 20 // bytes kept per loop; the garbage collector gets the rest
	trimPeriod = 64       // ticks between two calls of trim that do something
)

// bufferPool is a loop's free list. Its classes are powers of two up to byHalf, and maxBuffer.
// Owned by the loop.
type bufferPool struct {
	classes [maxClass + 1]bufferClass
	held    int   // bytes
	trimmed int64 // the tick of the last trim
}

// bufferClass has the free buffers of one size. low of them were not needed since the last trim.
type bufferClass struct {
	free [][]byte // bound: buffers kept for the next
	low  int
}

// trim releases the buffers that were not needed for a period.
func (p *bufferPool) trim(tick int64) {
	if tick-p.trimmed < trimPeriod {
		return
	}
	p.trimmed = tick
	for i := range p.classes {
		class := &p.classes[i]
		keep := len(class.free) - class.low
		for _, b := range class.free[keep:] {
			p.held -= cap(b)
		}
		clear(class.free[keep:])
		class.free = class.free[:keep]
		class.low = keep
	}
}

// get returns an empty buffer with capacity for at least n bytes.
func (p *bufferPool) get(n int) []byte {
	if n > maxBuffer {
		return make([]byte, 0, n)
	}
	class := classFor(n)
	c := &p.classes[class]
	if last := len(c.free) - 1; last >= 0 {
		b := c.free[last]
		c.free[last] = nil
		c.free = c.free[:last]
		c.low = min(c.low, last)
		p.held -= cap(b)
		return b
	}
	return make([]byte, 0, min(minBuffer<<class, maxBuffer))
}

// put returns b to the pool. The caller must not use it afterwards.
func (p *bufferPool) put(b []byte) {
	n := cap(b)
	if n < minBuffer || n > maxBuffer || p.held+n > poolBound {
		return
	}
	class := bits.Len(uint(n/minBuffer)) - 1
	if n == maxBuffer {
		class = maxClass
	}
	c := &p.classes[class]
	c.free = append(c.free, b[:0])
	p.held += n
}

// grow returns b with capacity for n more bytes. A buffer that must be moved doubles its size, or
// grows by half if it is large.
func (p *bufferPool) grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	size := 2 * cap(b)
	if cap(b) >= byHalf {
		size = cap(b) + cap(b)/2
	}
	bigger := p.get(max(len(b)+n, size))
	bigger = append(bigger, b...)
	p.put(b)
	return bigger
}

func classFor(n int) int {
	if n <= minBuffer {
		return 0
	}
	return bits.Len(uint(n-1)) - bits.Len(uint(minBuffer-1))
}
