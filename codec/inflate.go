package codec

import (
	"compress/flate"
	"errors"
	"io"
	"math/bits"
)

// WindowSize is how far back a compressed message may refer, in bytes. A connection whose client
// has context takeover keeps as much.
const WindowSize = 32 << 10

// history is the end of what a client with context takeover sent compressed (RFC 7692 section
// 7.1.1.2). Its next message may refer to that. It grows to WindowSize.
type history struct {
	b []byte // bound: what clients with context takeover may refer to
}

// bytes returns what the next message may refer to. A nil history has none.
func (h *history) bytes() []byte {
	if h == nil {
		return nil
	}
	return h.b
}

// add appends a message to the history.
func (h *history) add(m []byte) {
	m = m[max(0, len(m)-WindowSize):]
	if over := len(h.b) + len(m) - WindowSize; over > 0 {
		h.b = h.b[:copy(h.b, h.b[over:])]
	}
	h.b = append(grow(h.b, len(m), WindowSize-len(h.b)-len(m)), m...)
}

// inflater passes a compressed message, and the ending that it lacks, to the reader over it. It is
// owned by one call.
type inflater struct {
	r    io.ReadCloser
	in   []byte
	tail string
	ends int // further blocks that may be marked as the last

	scratch [4 << 10]byte // for bytes that are only counted
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

// ReadByte keeps flate from reading through a buffer of its own, and so from reading beyond the end
// of a block.
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

// errEnds is returned for a message with so many last blocks that each holds almost nothing. To go
// on after a last block costs as much as some KiB of data.
var errEnds = errors.New("codec: too many final blocks in a compressed message")

// maxEnds is the number of blocks in a message that may be marked as the last.
func maxEnds(message []byte) int { return 16 + len(message)/512 }

// goOn begins the next block after one that was marked as the last: another may follow at the next
// byte (RFC 7692 section 7.2.1). The block may refer to before. goOn reports false at the end of
// the message.
func (z *inflater) goOn(before []byte) (bool, error) {
	if len(z.in) == 0 {
		return false, nil
	}
	if z.ends--; z.ends < 0 {
		return false, errEnds
	}
	return true, z.r.(flate.Resetter).Reset(z, before)
}

// expand expands a message, which may refer to before. It returns ErrTooBig when the result has
// more than limit bytes, and never holds much more than that.
func (d *Deflate) expand(message, before []byte, limit int) ([]byte, error) {
	z, err := d.reader(message, before, ending)
	defer d.release(z)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, min(limit, max(512, 4*len(message)))+1) // one byte more than allowed, to see that there is more
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

// lookBack returns the bytes that a block may refer to when it follows before and out.
func lookBack(before, out []byte) []byte {
	if len(before) == 0 || len(out) >= WindowSize {
		return out
	}
	return append(append(make([]byte, 0, len(before)+len(out)), before...), out...)
}

// probeFrom is the size, in bytes, at which the beginning of an incomplete compressed message is
// examined for the first time.
const probeFrom = 32 << 10

// probes reports whether an incomplete message is to be examined when it grows: at probeFrom, and
// each time that its size has doubled. All of this costs no more than to expand the whole message.
func probes(before, after int) bool {
	return bits.Len(uint(before/probeFrom)) != bits.Len(uint(after/probeFrom))
}

// exceeds reports whether the beginning of a message already expands to more than limit bytes. A
// compression bomb is so found before all of it has come.
func (d *Deflate) exceeds(start, before []byte, limit int) bool {
	z, err := d.reader(start, before, "")
	defer d.release(z)
	for err == nil && limit >= 0 {
		var n int
		n, err = z.r.Read(z.scratch[:])
		limit -= n
		if errors.Is(err, io.EOF) {
			var more bool
			// The bytes that the next block refers to are no longer here. The message is examined when it
			// has come whole.
			if more, err = z.goOn(nil); !more {
				break
			}
		}
	}
	return limit < 0
}

// refersBack reports whether a message that cannot be expanded could be expanded with something
// before it: its sender then uses context takeover.
func (d *Deflate) refersBack(message []byte, limit int) bool {
	_, err := d.expand(message, make([]byte, WindowSize), limit)
	return err == nil || errors.Is(err, ErrTooBig)
}

// reader returns a reader of a compressed message. The caller returns it with release.
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
	z.in = nil // so that the pool does not keep the message
	d.readers.Put(z)
}

// inflate expands a whole message, and keeps the result where the client may refer to it.
func (w *WebSocket) inflate(message []byte) ([]byte, error) {
	m, err := w.deflate.expand(message, w.past.bytes(), int(w.max))
	if err == nil && w.past != nil {
		w.past.add(m)
	}
	return m, err
}

func (w *WebSocket) exceeds(start []byte) bool {
	return w.deflate.exceeds(start, w.past.bytes(), int(w.max))
}

// whyNot returns the close code and the reason for a message that could not be expanded.
func (w *WebSocket) whyNot(message []byte, err error) (code uint16, what string) {
	switch {
	case errors.Is(err, ErrTooBig):
		return closeTooBig, tooBig
	case errors.Is(err, errEnds):
		return closeInvalid, "too many final blocks in a compressed message"
	case w.past == nil && w.deflate.refersBack(message, int(w.max)):
		return closeInvalid, "compressed with context takeover, which was not agreed to"
	}
	return closeInvalid, "compressed message"
}

// maxDeflated returns the largest compressed size of a message of limit bytes. Data without any
// pattern grows by 5 bytes in 64 KiB; the rest is for senders that flush often.
func maxDeflated(limit int32) int { return int(limit) + int(limit)/16 + 1024 }
