package engine

import (
	"crypto/tls"
	"io"
	"os"

	"github.com/panjf2000/gnet/v2"
)

// secure is the TLS layer of a Conn. It stands between the Conn and gnet. To the Conn it is the
// gnet.Conn that takes its output; to gnet it is the context of the connection, which receives the
// events. So a Conn without TLS does not know of it. Records are opened on arrival, in the memory
// into which gnet has read them. A turn's output is sealed and passed to gnet at once.
//
// Of an idle conn nothing is kept but the state of the ciphers. Owned by the loop.
type secure struct {
	gnet.Conn // gnet's connection, or a half

	conn     *Conn
	tls      *tls.Conn
	records  *records
	partial  []byte // an incomplete record, nil when empty; bound: messages and handshakes that are incomplete
	rest     []byte // sealed output that gnet does not have, nil when empty; bound: unsent output of a client
	restSent int    // bytes of rest that the kernel has accepted
	tried    int64  // engine's clock when the kernel was last offered rest
	err      error  // why the peer's records cannot be read any more; io.EOF: it has sent close_notify
	leftover bool   // tls may have plaintext that it has read before the loop took over
	notified bool   // close_notify was sent
}

// PartialHandler is implemented by a Handler that bounds what incomplete messages may hold.
type PartialHandler interface {
	Handler
	// OnPartial is called after bytes have arrived, when n bytes of an incomplete TLS record are
	// held now or were held before. They are at most 18 KiB, and 64 KiB more for incomplete
	// messages of the TLS protocol itself.
	OnPartial(c *Conn, n int)
}

// tlsPlain is the size of the memory into which a loop decrypts: one read, and the record of which
// the beginning had been read before.
const tlsPlain = readBuffer + recordHeader + maxRecordBody

// maxControl is the most sealed output that may wait when a record of the TLS protocol itself is
// added, such as the answer to a key update. It is more than Conn.flush has sealed at a time. A
// peer that provokes more and does not read it is closed.
const maxControl = 2 * maxHandOver

// newSecure makes the layer of c from a connection whose handshake is complete.
func newSecure(c *Conn, t *TLSConn) *secure {
	t.records.takeOver(t.Conn, c.loop)
	return &secure{conn: c, tls: t.Conn, records: t.records}
}

// secureOf returns the TLS layer of c, or nil if there is none.
func secureOf(c *Conn) *secure {
	s, _ := c.g.(*secure)
	return s
}

// socketOf returns the connection of gnet, or the half, that g is or is a layer of.
func socketOf(g gnet.Conn) gnet.Conn {
	if s, ok := g.(*secure); ok {
		return s.Conn
	}
	return g
}

// start is called when gnet has opened the connection.
func (s *secure) start(g gnet.Conn) {
	c, l := s.conn, s.conn.loop
	s.Conn = g
	l.adopt(c, g)
	c.g = s
	l.tlsConns++
	if l.plain == nil {
		l.plain = make([]byte, 0, tlsPlain)
	}
	c.callOpen()
	if s.leftover && !c.ended {
		s.records.in = nil
		n, err := s.tls.Read(l.plain[:tlsPlain])
		s.deliver(l.plain[:n], err)
	}
}

// receive decrypts what was read from the socket and passes it to the Conn.
func (s *secure) receive(in []byte) {
	c, l := s.conn, s.conn.loop
	if c.Closed() || s.err != nil { // discarded
		l.counters.Reads++
		l.counters.BytesIn += uint64(len(in))
		return
	}
	held := s.held()
	plain, err := s.open(in)
	l.counters.BytesIn += uint64(len(in) - len(plain)) // Conn.receive adds the rest
	if len(plain) == 0 {
		l.counters.Reads++
	}
	s.deliver(plain, err)
	if h, ok := c.handler.(PartialHandler); ok && !c.Closed() && (held > 0 || s.held() > 0) {
		s.callPartial(h)
	}
}

func (s *secure) callPartial(h PartialHandler) {
	defer s.conn.recoverPanic("OnPartial")
	h.OnPartial(s.conn, s.held())
}

// held returns how many bytes of incomplete records and messages of TLS are held.
func (s *secure) held() int { return len(s.partial) + s.records.unfinished() }

// deliver passes plaintext to the Conn, and then what err says: that the peer has ended its side,
// or that it has violated the protocol.
func (s *secure) deliver(plain []byte, err error) {
	c, l := s.conn, s.conn.loop
	if len(l.sealed) > 0 { // answers of the protocol, or an alert
		s.transmit()
		c.markDirty()
		if !c.ended && s.OutboundBuffered() > maxControl {
			l.counters.SlowConsumerCloses++
			c.markEnded(ErrSlowConsumer)
		}
	}
	if len(plain) > 0 {
		c.receive(plain)
	}
	if err == nil || err == errNoRecord { //nolint:errorlint // it is returned as it is
		return
	}
	s.err = err
	switch {
	case c.ended:
	case err == io.EOF: //nolint:errorlint // the same
		_ = l.reactor.Close(s.Conn) // calls OnClose, as the peer's FIN does
	default:
		l.counters.TLSErrors++
		c.markEnded(asTLSError(err))
	}
}

// open returns the plaintext of the records that in completes. It is a view of the loop's memory.
func (s *secure) open(in []byte) (plain []byte, err error) {
	plain = s.conn.loop.plain[:0]
	if len(s.partial) > 0 {
		rest, complete := s.complete(in)
		if !complete {
			return nil, nil
		}
		record := s.partial
		s.partial = nil
		plain, err = s.decrypt(record, plain)
		s.conn.loop.buffers.put(record)
		if in = rest; err != nil {
			return plain, err
		}
	}
	n := wholeRecords(in)
	if n > 0 {
		plain, err = s.decrypt(in[:n], plain)
	}
	if n < len(in) && err == nil {
		s.partial = append(s.conn.loop.buffers.get(len(in)-n), in[n:]...)
	}
	return plain, err
}

// complete appends to the incomplete record what in has of it. It returns what follows, and whether
// the record is complete.
func (s *secure) complete(in []byte) (rest []byte, complete bool) {
	for _, want := range [2]func() int{
		func() int { return recordHeader },
		func() int { return recordLength(s.partial) },
	} {
		if n := want() - len(s.partial); n > 0 {
			n = min(n, len(in))
			s.partial = append(s.conn.loop.buffers.grow(s.partial, n), in[:n]...)
			in = in[n:]
		}
		if len(s.partial) < want() && !invalidHeader(s.partial) {
			return in, false
		}
	}
	return in, true
}

// invalidHeader reports whether b is the beginning of a record that is longer than allowed, or of
// another version than TLS 1.2 and 1.3 write. Package crypto/tls refuses it when it reads the
// header, and does not wait for the rest.
func invalidHeader(b []byte) bool {
	return len(b) >= recordHeader && (recordLength(b) > recordHeader+maxRecordBody || b[1] != 3 || b[2] != 3)
}

// wholeRecords returns the length of the complete records that in begins with. A record whose
// header is invalid counts as complete.
func wholeRecords(in []byte) (n int) {
	for len(in)-n >= recordHeader {
		if invalidHeader(in[n:]) {
			return len(in)
		}
		size := recordLength(in[n:])
		if size > len(in)-n {
			break
		}
		n += size
	}
	return n
}

// decrypt appends the plaintext of whole records to plain, which has the capacity for it.
func (s *secure) decrypt(whole, plain []byte) ([]byte, error) {
	s.records.feed(whole)
	var err error
	for err == nil && s.records.more() {
		var n int
		n, err = s.tls.Read(plain[len(plain):cap(plain)])
		plain = plain[:len(plain)+n]
	}
	if err == errNoRecord { //nolint:errorlint // it is returned as it is
		err = nil
	}
	s.records.in = nil
	s.records.shrink()
	return plain, err
}

// decryptLast returns the plaintext of what was unread when the connection broke. A callback may be
// using the loop's memory meanwhile. The result is not nil, so that what OnData has left is offered
// again: unlike a FIN, close_notify is seen while the conn is not read.
func (s *secure) decryptLast(last []byte) (plain []byte) {
	plain = []byte{}
	if len(last) == 0 {
		return plain
	}
	l := s.conn.loop
	used := l.plain
	l.plain = make([]byte, 0, tlsPlain)
	defer func() { l.plain = used }()
	for len(last) > 0 && s.err == nil {
		n := min(len(last), readBuffer)
		var part []byte
		part, s.err = s.open(last[:n])
		plain, last = append(plain, part...), last[n:]
	}
	return plain
}

// ending returns the error with which gnet closes the connection, as for a conn without TLS. The
// peer has ended its side if it has sent close_notify. A FIN between two records has the same
// effect, since many peers send no close_notify (RFC 8446 section 6.1 requires it). A FIN within a
// record breaks the connection.
func (s *secure) ending(err error) error {
	switch {
	case s.err == io.EOF: //nolint:errorlint // it is returned as it is
		return os.NewSyscallError("read", io.EOF)
	case isFIN(err) && len(s.partial) > 0:
		return io.ErrUnexpectedEOF
	}
	return err
}
