package codec

import (
	"compress/flate"
	"errors"
	"io"
	"math/bits"
)

// WindowSize is how far back a compressed message may refer, in bytes, and what is kept of a connection whose client has context takeover.
const WindowSize = 32 << 10

// history is the end of what a client with context takeover has sent compressed (RFC 7692 section 7.1.1.2): its next message may refer to that. It grows to WindowSize.
type history struct {
	b []byte // bound: what clients with context takeover may refer to
}

// add puts a message behind what is there.
func (h *history) add(m []byte) {
	m = m[max(0, len(m)-WindowSize):]
	if over := len(h.b) + len(m) - WindowSize; over > 0 {
		h.b = h.b[:copy(h.b, h.b[over:])]
	}
	h.b = append(grow(h.b, len(m), WindowSize-len(h.b)-len(m)), m...)
}

// inflater hands a compressed message, and the ending that it lacks, to the reader over it. Owned by one call.
type inflater struct {
	r    io.ReadCloser
	in   []byte
	tail string
	ends int // blocks that may still say that they are the last

	scratch [4 << 10]byte // what is only counted
}

func (z *inflater) Read(p []byte) (int, error) {
	n := copy(p, z.in)
	z.in = z.in[n:]
	if n == 0 {
		n = copy(p, z.tail)
		z.tail = z.tail[n:]
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// ReadByte keeps flate from putting a buffer of its own in front, and so from reading more than one block's bytes.
func (z *inflater) ReadByte() (c byte, err error) {
	switch {
	case len(z.in) > 0:
		c, z.in = z.in[0], z.in[1:]
	case len(z.tail) > 0:
		c, z.tail = z.tail[0], z.tail[1:]
	default:
		err = io.EOF
	}
	return c, err
}

// errEnds is returned of a message with so many last blocks that each holds next to nothing: going on behind one costs as much as some KiB.
var errEnds = errors.New("codec: a compressed message of many last blocks")

// maxEnds is how many blocks of a message may say that they are the last.
func maxEnds(message []byte) int { return 16 + len(message)/512 }

// goOn begins the next block behind one that said it was the last: another may follow, at the next byte (RFC 7692 section 7.2.1). before is what it may refer to. It reports
// false when all has been read.
func (z *inflater) goOn(before []byte) (bool, error) {
	if len(z.in) == 0 {
		return false, nil
	}
	if z.ends--; z.ends < 0 {
		return false, errEnds
	}
	return true, z.r.(flate.Resetter).Reset(z, before)
}

// expand expands a message, which may refer to what was before it. It gives up with ErrTooBig when it has more than limit bytes; it never holds much more than that.
func (d *Deflate) expand(message, before []byte, limit int) ([]byte, error) {
	z, err := d.reader(message, before, ending)
	defer d.release(z)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, min(limit, max(512, 4*len(message)))+1) // one more than allowed shows that there is more
	for {
		n, err := z.r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if len(out) > limit {
			return nil, ErrTooBig
		}
		if errors.Is(err, io.EOF) {
			var more bool
			if more, err = z.goOn(lookBack(before, out)); !more && err == nil {
				return out, nil
			}
		}
		if err != nil {
			return nil, err
		}
		if len(out) == cap(out) {
			out = append(make([]byte, 0, min(2*cap(out), limit+1)), out...)
		}
	}
}

// lookBack is what a block may refer to that comes behind before and out.
func lookBack(before, out []byte) []byte {
	if len(before) == 0 || len(out) >= WindowSize {
		return out
	}
	return append(append(make([]byte, 0, len(before)+len(out)), before...), out...)
}

// probeFrom is how much of a compressed message, in bytes, comes before its beginning is looked at.
const probeFrom = 32 << 10

// probes reports whether what has come of a message is to be looked at when it grows: at probeFrom and each time that it has doubled, which costs no more in all than the
// message itself will.
func probes(before, after int) bool {
	return bits.Len(uint(before/probeFrom)) != bits.Len(uint(after/probeFrom))
}

// exceeds reports whether the beginning of a message alone expands to more than limit bytes: of a bomb not all must be kept until it has come.
func (d *Deflate) exceeds(start, before []byte, limit int) bool {
	z, err := d.reader(start, before, "")
	defer d.release(z)
	for err == nil && limit >= 0 {
		var n int
		n, err = z.r.Read(z.scratch[:])
		limit -= n
		if errors.Is(err, io.EOF) {
			var more bool
			if more, err = z.goOn(nil); !more { // what the next block refers to is not there any more: then the message is looked at when it is whole
				break
			}
		}
	}
	return limit < 0
}

// refersBack reports whether a message that cannot be expanded could be with something before it: its sender has context takeover.
func (d *Deflate) refersBack(message []byte, limit int) bool {
	_, err := d.expand(message, make([]byte, WindowSize), limit)
	return err == nil || errors.Is(err, ErrTooBig)
}

// reader returns a reader of a compressed message; it goes back with release.
func (d *Deflate) reader(message, before []byte, tail string) (*inflater, error) {
	z, _ := d.readers.Get().(*inflater)
	if z == nil {
		z = new(inflater)
		z.r = flate.NewReader(z)
	}
	z.in, z.tail, z.ends = message, tail, maxEnds(message)
	return z, z.r.(flate.Resetter).Reset(z, before)
}

func (d *Deflate) release(z *inflater) {
	z.in = nil // the pool must not keep the message
	d.readers.Put(z)
}

// inflate expands a message that has come, and keeps it where the client may refer to it.
func (w *WebSocket) inflate(message []byte) ([]byte, error) {
	m, err := w.deflate.expand(message, w.before(), int(w.max))
	if err == nil && w.past != nil {
		w.past.add(m)
	}
	return m, err
}

func (w *WebSocket) exceeds(start []byte) bool {
	return w.deflate.exceeds(start, w.before(), int(w.max))
}

// before is what the next message may refer to.
func (w *WebSocket) before() []byte {
	if w.past == nil {
		return nil
	}
	return w.past.b
}

// whyNot is the close code for a message that could not be expanded, and what is wrong with it.
func (w *WebSocket) whyNot(message []byte, err error) (code uint16, what string) {
	switch {
	case errors.Is(err, ErrTooBig):
		return closeTooBig, tooBig
	case errors.Is(err, errEnds):
		return closeInvalid, "a compressed message of many last blocks"
	case w.past == nil && w.deflate.refersBack(message, int(w.max)):
		return closeInvalid, "compressed with context takeover, which was not agreed to"
	}
	return closeInvalid, "compressed message"
}

// maxDeflated is how long the compressed form of a message may be: data without any pattern grows by 5 bytes in 64 KiB, the rest is for senders that flush often.
func (w *WebSocket) maxDeflated() int { return int(w.max) + int(w.max)/16 + 1024 }
