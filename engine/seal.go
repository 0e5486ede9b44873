package engine

import (
	"io"

	"github.com/panjf2000/gnet/v2"
)

// OutboundBuffered returns how many bytes of sealed output the kernel has not accepted.
func (s *secure) OutboundBuffered() int {
	return s.Conn.OutboundBuffered() + len(s.rest) - s.restSent
}

// Write seals p and passes it on. It accepts all of p: what is sealed must be sent as it is.
func (s *secure) Write(p []byte) (int, error) {
	l := s.conn.loop
	if _, err := s.tls.Write(p); err != nil {
		s.conn.markEnded(asTLSError(err))
		return 0, err
	}
	if more := len(l.sealed) - len(p); more > 0 {
		l.counters.BytesOut += uint64(more) // Conn.send adds the plaintext
	}
	s.transmit()
	return len(p), nil
}

// transmit passes the loop's sealed bytes to gnet, or to the kernel if the conn is not polled (see
// Conn.write). What is not accepted waits in rest.
func (s *secure) transmit() {
	c, l := s.conn, s.conn.loop
	b := l.sealed
	l.sealed = b[:0]
	switch {
	case len(b) == 0:
	case s.rest != nil || c.unpolled && s.Conn.OutboundBuffered() > 0:
		s.wait(b)
	case !c.unpolled:
		_, _ = s.Conn.Write(b)
	default:
		n, err := l.kernel.write(s.Conn, b)
		if err != nil {
			_, _ = s.Conn.Write(b) // closes the connection
			return
		}
		if n < len(b) {
			s.tried = l.engine.clock.Load()
			s.wait(b[n:])
		}
	}
}

// wait appends sealed bytes to rest.
func (s *secure) wait(b []byte) { s.rest = append(s.conn.loop.buffers.grow(s.rest, len(b)), b...) }

// retry offers rest to the kernel.
func (s *secure) retry(now int64) {
	c := s.conn
	if s.rest == nil || s.Conn.OutboundBuffered() > 0 {
		return
	}
	if c.unpolled && (c.paused || c.peer != peerSends) && now-s.tried < int64(unpolledRetry) {
		return
	}
	s.tried = now
	n, err := c.loop.kernel.write(s.Conn, s.rest[s.restSent:])
	if err != nil {
		_, _ = s.Conn.Write(s.rest[s.restSent:]) // closes the connection
		return
	}
	if s.restSent += n; s.restSent == len(s.rest) {
		s.dropRest()
	}
}

func (s *secure) dropRest() {
	s.conn.loop.buffers.put(s.rest)
	s.rest, s.restSent = nil, 0
}

// takeBack moves sealed output that gnet has not sent to the front of rest.
func (s *secure) takeBack(held []byte) {
	rest := append(s.conn.loop.buffers.get(len(held)+len(s.rest)-s.restSent), held...)
	rest = append(rest, s.rest[s.restSent:]...)
	s.dropRest()
	s.rest = rest
}

// notifies sends close_notify on a conn that drains, after all other output. It reports whether it
// has done so now.
func notifies(c *Conn) bool {
	s := secureOf(c)
	return s != nil && s.notify()
}

// notify sends close_notify (RFC 8446 section 6.1), once. It reports whether it has done so now.
func (s *secure) notify() bool {
	if s.notified {
		return false
	}
	s.notified = true
	if s.tls.CloseWrite() != nil {
		return false
	}
	s.conn.loop.counters.BytesOut += uint64(len(s.conn.loop.sealed))
	s.transmit()
	return true
}

// release ends the layer of a conn that has ended, and returns the connection below it. If nothing
// waits for the kernel and the records of the peer were correct, it sends close_notify, as far as
// the kernel accepts it.
func (s *secure) release() gnet.Conn {
	l := s.conn.loop
	valid := s.err == nil || s.err == io.EOF //nolint:errorlint // it is returned as it is
	if valid && !s.notified && s.OutboundBuffered() == 0 && s.tls.CloseWrite() == nil {
		s.notified = true
		n, _ := l.kernel.write(s.Conn, l.sealed)
		l.counters.BytesOut += uint64(n)
		l.sealed = l.sealed[:0]
	}
	s.discard()
	return s.Conn
}

// discard releases the memory of the layer.
func (s *secure) discard() {
	l := s.conn.loop
	l.tlsConns--
	l.buffers.put(s.partial)
	s.partial = nil
	s.dropRest()
}
