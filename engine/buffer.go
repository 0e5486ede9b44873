package engine

import "math/bits"

const (
	minBuffer  = 512      // smallest buffer, class 0
	maxClass   = 11       // largest kept: 512 << 11, 1 MiB
	poolBound  = 16 << 20 // bytes kept per loop; more goes to the collector
	trimPeriod = 64       // ticks between two trims
)

// bufferPool is a loop's free list, by powers of two. Owned by the loop.
type bufferPool struct {
	classes [maxClass + 1][][]byte
	held    int
}

// get returns an empty buffer for n bytes at least.
func (p *bufferPool) get(n int) []byte {
	class := classFor(n)
	if class > maxClass {
		return make([]byte, 0, n)
	}
	if list := p.classes[class]; len(list) > 0 {
		b := list[len(list)-1]
		list[len(list)-1] = nil
		p.classes[class] = list[:len(list)-1]
		p.held -= cap(b)
		return b
	}
	return make([]byte, 0, minBuffer<<class)
}

// put takes b back. Its owner must have forgotten it.
func (p *bufferPool) put(b []byte) {
	n := cap(b)
	if n < minBuffer || n >= minBuffer<<(maxClass+1) || p.held+n > poolBound {
		return
	}
	class := bits.Len(uint(n/minBuffer)) - 1
	p.classes[class] = append(p.classes[class], b[:0])
	p.held += n
}

// grow returns b with room for n more bytes, at twice the size when it has to
// move.
func (p *bufferPool) grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := p.get(max(len(b)+n, 2*cap(b)))
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
