package codec

import (
	"compress/flate"
	"errors"
	"io"
	"math/bits"
	"sync"
)

// Deflate compresses and expands messages for any number of connections (permessage-deflate, RFC 7692). Both directions are without context takeover: an idle
// connection keeps no window, and equal messages compress to equal bytes. Any goroutine may use it.
type Deflate struct {
	writers, readers, buffers sync.Pool // bound: none, given up by the collector
}

// NewDeflate returns a Deflate.
func NewDeflate() *Deflate { return new(Deflate) }

const (
	// deflateFrom is the size from which a message is compressed, in bytes; below it the frame costs more than it saves.
	deflateFrom = 256
	// keptBuffer is the largest buffer that is kept for the next message, in bytes.
	keptBuffer = 256 << 10
	maxWindow  = 15 // bits: 32 KiB, what compress/flate looks back
	// deflateOffer is what a client asks for and the least a server answers.
	deflateOffer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
)

// flushed is what a flush ends with, which is left out on the wire (RFC 7692 section 7.2.1).
const flushed = "\x00\x00\xff\xff"

// ending is put behind a message so that the expander finds an end: what was left out, and an empty last block.
const ending = flushed + "\x01\x00\x00\xff\xff"

// buffer is what a flate.Writer writes to.
type buffer struct{ b []byte } // bound: none, given up by the collector

func (b *buffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	return len(p), nil
}

// deflate compresses a message. It reports false when that does not make it smaller. The buffer goes back with put.
func (d *Deflate) deflate(message []byte) (*buffer, bool) {
	out, _ := d.buffers.Get().(*buffer)
	if out == nil {
		out = new(buffer)
	}
	w, _ := d.writers.Get().(*flate.Writer)
	if w == nil {
		w, _ = flate.NewWriter(out, flate.BestSpeed) // fails only for a level that does not exist
	} else {
		w.Reset(out)
	}
	_, err := w.Write(message)
	if err == nil {
		err = w.Flush()
	}
	w.Reset(io.Discard) // the pool must not keep out
	d.writers.Put(w)
	if cut := len(out.b) - len(flushed); err == nil && cut > 0 && cut < len(message) {
		out.b = out.b[:cut]
		return out, true
	}
	d.put(out)
	return nil, false
}

func (d *Deflate) put(b *buffer) {
	if cap(b.b) <= keptBuffer {
		b.b = b.b[:0]
		d.buffers.Put(b)
	}
}

// inflater hands a compressed message, and the ending that it lacks, to the reader over it. Owned by one call.
type inflater struct {
	r    io.ReadCloser
	in   []byte
	tail string

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

// ReadByte keeps flate from putting a buffer of its own in front.
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

// inflate expands a message. It gives up with ErrTooBig when it has more than limit bytes; it never holds much more than that.
func (d *Deflate) inflate(message []byte, limit int) ([]byte, error) {
	z, err := d.reader(message, ending)
	defer d.release(z)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, min(limit, max(512, 4*len(message)))+1) // one more than allowed shows that there is more
	for {
		n, err := z.r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out) > limit:
			return nil, ErrTooBig
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		if len(out) == cap(out) {
			out = append(make([]byte, 0, min(2*cap(out), limit+1)), out...)
		}
	}
}

// probeFrom is how much of a compressed message, in bytes, comes before its beginning is looked at.
const probeFrom = 32 << 10

// probes reports whether what has come of a message is to be looked at when it grows: at probeFrom and each time that it has doubled, which costs no more in all than the
// message itself will.
func probes(before, after int) bool {
	return bits.Len(uint(before/probeFrom)) != bits.Len(uint(after/probeFrom))
}

// exceeds reports whether the beginning of a message alone expands to more than limit bytes: of a bomb not all must be kept until it has come.
func (d *Deflate) exceeds(start []byte, limit int) bool {
	z, err := d.reader(start, "")
	defer d.release(z)
	for err == nil && limit >= 0 {
		var n int
		n, err = z.r.Read(z.scratch[:])
		limit -= n
	}
	return limit < 0
}

// reader returns a reader of a compressed message; it goes back with release.
func (d *Deflate) reader(message []byte, tail string) (*inflater, error) {
	z, _ := d.readers.Get().(*inflater)
	if z == nil {
		z = new(inflater)
		z.r = flate.NewReader(z)
	}
	z.in, z.tail = message, tail
	return z, z.r.(flate.Resetter).Reset(z, nil)
}

func (d *Deflate) release(z *inflater) {
	z.in = nil // the pool must not keep the message
	d.readers.Put(z)
}

// maxDeflated is how long the compressed form of a message of up to limit bytes may be: data without any pattern grows by 5 bytes in 64 KiB, the rest is for
// senders that flush often.
func maxDeflated(limit int) int { return limit + limit/16 + 1024 }

// inflateCode is the close code for a message that cannot be expanded.
func inflateCode(err error) uint16 {
	if errors.Is(err, ErrTooBig) {
		return closeTooBig
	}
	return closeInvalid
}
