package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"runtime"
	"slices"
	"time"
)

// ErrTLS is the reason when a peer violated the TLS protocol. The error that OnClose receives wraps
// it and says how.
var ErrTLS = errors.New("engine: TLS")

// TLSOptions makes a Listener's connections TLS connections.
type TLSOptions struct {
	// Config has the certificates. It is required. To change it while connections are made, use its
	// GetConfigForClient.
	Config *tls.Config
	// HandshakeTimeout is how long a handshake may take. Defaults to 10 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes is the number of handshakes at a time. When there are so many, the oldest one
	// of the address that has most is ended, if it has taken 250 ms; an IPv6 /64 is one address.
	// Otherwise further connections wait in the kernel's queue. Defaults to 1,024.
	MaxHandshakes int
	// HandshakeRate is the number of handshakes that may begin in a second, and at once. Further
	// connections are closed. Zero means no limit.
	HandshakeRate int
}

// check validates the options and fills in the defaults.
func (o *TLSOptions) check() (*TLSOptions, error) {
	if o == nil {
		return nil, nil
	}
	err := checkNumbers("ListenOptions.TLS", number{"HandshakeTimeout", int64(o.HandshakeTimeout)},
		number{"MaxHandshakes", int64(o.MaxHandshakes)}, number{"HandshakeRate", int64(o.HandshakeRate)})
	if err != nil {
		return nil, err
	}
	if o.Config == nil {
		return nil, errors.New("engine: ListenOptions.TLS.Config is nil")
	}
	checked := *o
	if checked.HandshakeTimeout == 0 {
		checked.HandshakeTimeout = 10 * time.Second
	}
	if checked.MaxHandshakes == 0 {
		checked.MaxHandshakes = 1024
	}
	return &checked, nil
}

// TLSConn is a TLS connection that Engine.Register can take over: before or after bytes were
// exchanged, but with a complete handshake, and not after a Read that ended within a record.
type TLSConn struct {
	*tls.Conn
	records *records
}

// TLSServer returns the server side of a TLS connection over nc.
func TLSServer(nc net.Conn, cfg *tls.Config) *TLSConn {
	r := &records{socket: nc}
	return &TLSConn{tls.Server(r, cfg), r}
}

// TLSClient returns the client side of a TLS connection over nc.
func TLSClient(nc net.Conn, cfg *tls.Config) *TLSConn {
	r := &records{socket: nc}
	return &TLSConn{tls.Client(r, cfg), r}
}

// records is what a tls.Conn reads records from and writes records to. At first that is a socket,
// which blocks. After takeOver it is the memory of a loop, and Read returns errNoRecord when there
// is no more.
type records struct {
	socket net.Conn      // nil after takeOver
	cpu    chan struct{} // Read gives a token back while it waits; nil: there are none

	// Of the socket. Not more than one record is read at a time, so that none is in the memory of
	// tls.Conn when the loop takes over.
	header [recordHeader]byte
	have   int // bytes of the header that were read
	left   int // bytes of the record that were not read

	// Owned by the loop after takeOver.
	loop   *Loop
	remote net.Addr // static: a tls.Conn of a client may use it as a key of its sessions
	in     []byte   // whole records that tls.Conn has not read
	raw    *bytes.Buffer
	hand   *bytes.Buffer
}

const (
	recordHeader  = 5             // type, version and length (RFC 8446 section 5.1)
	maxRecordBody = 16<<10 + 2048 // the most that TLS 1.2 allows (RFC 5246 section 6.2.3)
)

// recordLength returns the size of a record, with its header.
func recordLength(header []byte) int { return recordHeader + (int(header[3])<<8 | int(header[4])) }

// noRecord is the error of Read when there is no record. Package crypto/tls can read again after an
// error that is temporary.
type noRecord struct{}

func (noRecord) Error() string   { return "no record has come" }
func (noRecord) Timeout() bool   { return true }
func (noRecord) Temporary() bool { return true }

var errNoRecord error = noRecord{}

// between reports whether the socket was read to the end of a record.
func (r *records) between() bool { return r.socket != nil && r.left == 0 && r.have == 0 }

// takeOver makes c use the memory of a loop from now on.
func (r *records) takeOver(c *tls.Conn, l *Loop) {
	r.remote = r.socket.RemoteAddr()
	r.socket, r.cpu, r.loop = nil, nil, l
	r.raw, r.hand = buffersOf(c)
	r.shrink()
}

// buffersOf returns the buffers in which c collects records and handshake messages. It returns nil
// if c's internal structure is not the expected one: records are then copied, and the buffers are
// kept. Package crypto/tls has no call for this.
func buffersOf(c *tls.Conn) (raw, hand *bytes.Buffer) {
	find := func(name string) *bytes.Buffer {
		field := reflect.ValueOf(c).Elem().FieldByName(name)
		if !field.IsValid() || field.Type() != reflect.TypeFor[bytes.Buffer]() {
			return nil
		}
		return (*bytes.Buffer)(field.Addr().UnsafePointer())
	}
	raw, hand = find("rawInput"), find("hand")
	if raw == nil || hand == nil || raw.Len() > 0 {
		return nil, nil
	}
	return raw, hand
}

// feed gives whole records to tls.Conn. They are decrypted in place.
func (r *records) feed(whole []byte) {
	if r.raw != nil {
		*r.raw = *bytes.NewBuffer(slices.Clip(whole))
		return
	}
	r.in = whole
}

// more reports whether tls.Conn has not processed all records.
func (r *records) more() bool { return len(r.in) > 0 || r.raw != nil && r.raw.Len() > 0 }

// shrink gives back the memory of tls.Conn that is empty.
func (r *records) shrink() {
	if r.raw == nil {
		return
	}
	if r.raw.Len() == 0 {
		*r.raw = bytes.Buffer{}
	}
	if r.hand.Len() == 0 && r.hand.Cap() > 0 {
		*r.hand = bytes.Buffer{}
	}
}

// unfinished returns how many bytes of an incomplete handshake message are held.
func (r *records) unfinished() int {
	if r.hand == nil {
		return 0
	}
	return r.hand.Len()
}

// Read implements net.Conn.
func (r *records) Read(p []byte) (int, error) {
	if r.socket == nil {
		if len(r.in) == 0 {
			return 0, errNoRecord
		}
		n := copy(p, r.in)
		r.in = r.in[n:]
		return n, nil
	}
	if r.left > 0 {
		n, err := r.wait(p[:min(len(p), r.left)])
		r.left -= n
		return n, err
	}
	n, err := r.wait(p[:min(len(p), recordHeader-r.have)])
	r.have += copy(r.header[r.have:], p[:n])
	if r.have == recordHeader {
		r.have, r.left = 0, recordLength(r.header[:])-recordHeader
	}
	return n, err
}

// wait reads from the socket. Meanwhile another handshake may use the processor.
func (r *records) wait(p []byte) (int, error) {
	if r.cpu != nil {
		<-r.cpu
		defer func() { r.cpu <- struct{}{} }()
	}
	return r.socket.Read(p)
}

// Write implements net.Conn.
func (r *records) Write(p []byte) (int, error) {
	if r.socket != nil {
		return r.socket.Write(p)
	}
	r.loop.sealed = append(r.loop.sealed, p...)
	return len(p), nil
}

// Close implements net.Conn. After takeOver the Conn is what is closed.
func (r *records) Close() error {
	if r.socket != nil {
		return r.socket.Close()
	}
	return nil
}

// LocalAddr implements net.Conn.
func (r *records) LocalAddr() net.Addr {
	if r.socket != nil {
		return r.socket.LocalAddr()
	}
	return &net.TCPAddr{}
}

// RemoteAddr implements net.Conn.
func (r *records) RemoteAddr() net.Addr {
	if r.socket != nil {
		return r.socket.RemoteAddr()
	}
	return r.remote
}

// SetDeadline implements net.Conn.
func (r *records) SetDeadline(t time.Time) error {
	if r.socket != nil {
		return r.socket.SetDeadline(t)
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (r *records) SetReadDeadline(t time.Time) error {
	if r.socket != nil {
		return r.socket.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (r *records) SetWriteDeadline(t time.Time) error {
	if r.socket != nil {
		return r.socket.SetWriteDeadline(t)
	}
	return nil
}

// newCPU returns the tokens of handshakes that may compute at a time. More of them would delay the
// loops, because Go's scheduler has one queue for all.
func newCPU() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) }

// asTLSError makes an error of package crypto/tls wrap ErrTLS.
func asTLSError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrTLS, err)
}
