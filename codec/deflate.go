package codec

import (
	"compress/flate"
	"io"
	"sync"
)

// Deflate compresses and expands messages for any number of connections (permessage-deflate, RFC
// 7692). It compresses without context takeover, so that equal messages give equal bytes. Clients
// compress without it, too, unless UpgradeOptions.ClientTakeover is set. An idle connection then
// needs no window. A Deflate is safe for use by several goroutines.
type Deflate struct {
	writers, readers, buffers sync.Pool // bound: none, given up by the collector
}

// NewDeflate returns a Deflate.
func NewDeflate() *Deflate { return new(Deflate) }

const (
	// deflateFrom is the size from which a message is compressed, in bytes. The compressed form of a
	// smaller one saves too little.
	deflateFrom = 256
	// keptBuffer is the largest buffer that is kept for the next message, in bytes.
	keptBuffer = 256 << 10
	maxWindow  = 15 // in bits: compress/flate refers back 32 KiB at most
	// deflateOffer is what a client asks for. deflateTakeover is the least that a server answers, and
	// deflateOffer is its answer when the client is not to have context takeover either.
	deflateTakeover = "permessage-deflate; server_no_context_takeover"
	deflateOffer    = deflateTakeover + "; client_no_context_takeover"
)

// flushed is the end of every flush. It is left out on the wire (RFC 7692 section 7.2.1).
const flushed = "\x00\x00\xff\xff"

// ending is appended to a message so that the expander finds an end: the bytes that were left out,
// and an empty last block.
const ending = flushed + "\x01\x00\x00\xff\xff"

// buffer is the destination of a flate.Writer.
type buffer struct{ b []byte } // bound: none, given up by the collector

func (b *buffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	return len(p), nil
}

// deflate compresses a message. It reports false when the result is not smaller. The caller returns
// the buffer with put.
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
	w.Reset(io.Discard) // so that the pool does not keep out
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
