package codec

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync"
)

// Deflate compresses and expands messages for any number of connections (permessage-deflate, RFC 7692). Both directions are without context takeover: an idle
// connection keeps no window, and equal messages compress to equal bytes. Any goroutine may use it.
type Deflate struct {
	writers, readers, buffers sync.Pool
}

// NewDeflate returns a Deflate.
func NewDeflate() *Deflate { return new(Deflate) }

const (
	// deflateFrom is the size from which a message is compressed, in bytes; below it the frame costs more than it saves.
	deflateFrom = 256
	// keptBuffer is the largest buffer that is kept for the next message, in bytes.
	keptBuffer = 256 << 10
	// deflateOffer is what a client asks for and the least a server answers.
	deflateOffer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
)

// flushed is what a flush ends with, which is left out on the wire (RFC 7692 section 7.2.1).
const flushed = "\x00\x00\xff\xff"

// ending is put behind a message so that the expander finds an end: what was left out, and an empty last block.
const ending = flushed + "\x01\x00\x00\xff\xff"

// buffer is what a flate.Writer writes to.
type buffer struct{ b []byte }

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

// inflate expands a message. It gives up with ErrTooBig when it has more than limit bytes; it never holds much more than that.
func (d *Deflate) inflate(message []byte, limit int) ([]byte, error) {
	in := io.MultiReader(bytes.NewReader(message), strings.NewReader(ending))
	r, _ := d.readers.Get().(io.ReadCloser)
	if r == nil {
		r = flate.NewReader(in)
	} else if err := r.(flate.Resetter).Reset(in, nil); err != nil {
		return nil, err
	}
	defer func() {
		_ = r.(flate.Resetter).Reset(strings.NewReader(""), nil) // the pool must not keep the message
		d.readers.Put(r)
	}()
	out := make([]byte, 0, min(limit, max(512, 4*len(message)))+1)
	for {
		n, err := r.Read(out[len(out):cap(out)])
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
			grown := make([]byte, len(out), min(2*cap(out), limit+1))
			copy(grown, out)
			out = grown
		}
	}
}

// inflateCode is the close code for a message that cannot be expanded.
func inflateCode(err error) uint16 {
	if errors.Is(err, ErrTooBig) {
		return closeTooBig
	}
	return closeInvalid
}

// acceptDeflate answers the first of a client's offers that can be granted (RFC 7692 section 7.1).
func acceptDeflate(offers iter.Seq[string]) (answer string, ok bool) {
	for offer := range offers {
		params, ok := deflateParams(offer)
		if !ok {
			continue
		}
		if bits, asked := params["server_max_window_bits"]; asked {
			if !windowBits(bits) || bits != "15" {
				continue // our window is 32 KiB
			}
			return deflateOffer + "; server_max_window_bits=15", true
		}
		if bits := params["client_max_window_bits"]; bits != "" && !windowBits(bits) {
			continue
		}
		return deflateOffer, true
	}
	return "", false
}

// agreedDeflate reports whether a server's answer to deflateOffer can be lived with: it must not remember, for our expander does not.
func agreedDeflate(answer string) bool {
	params, ok := deflateParams(answer)
	if !ok {
		return false
	}
	_, forgets := params["server_no_context_takeover"]
	bits, limited := params["client_max_window_bits"]
	return forgets && (!limited || bits == "15")
}

// deflateParams reads one offer or answer. It refuses unknown, repeated and misformed parameters.
func deflateParams(s string) (map[string]string, bool) {
	parts := strings.Split(s, ";")
	if strings.TrimSpace(parts[0]) != "permessage-deflate" {
		return nil, false
	}
	params := make(map[string]string, len(parts)-1)
	for _, part := range parts[1:] {
		name, value, valued := strings.Cut(strings.TrimSpace(part), "=")
		if _, again := params[name]; again {
			return nil, false
		}
		value = strings.Trim(value, `"`)
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if valued {
				return nil, false
			}
		case "server_max_window_bits":
			if !valued {
				return nil, false
			}
		case "client_max_window_bits":
			if valued && value == "" {
				return nil, false
			}
		default:
			return nil, false
		}
		params[name] = value
	}
	return params, true
}

// windowBits reports whether s is 8 to 15 without leading zeros.
func windowBits(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 8 && n <= 15 && strconv.Itoa(n) == s
}
