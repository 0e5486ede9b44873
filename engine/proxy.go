package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

var (
	// ErrNoProxyHeader is returned by ProxyOptions.ReadHeader when the bytes do not begin with a
	// header.
	ErrNoProxyHeader = errors.New("engine: no proxy header")
	// ErrProxyHeader is the reason when the header of a trusted proxy was invalid or incomplete, or
	// missing where it is required.
	ErrProxyHeader = errors.New("engine: invalid or missing proxy header")
	// ErrAddressLimit is the reason when MaxPerIP or ConnectRate refused the client of a proxy.
	ErrAddressLimit = errors.New("engine: limit of the client's address")
	// ErrUntrustedProxy is reported when an address that is not trusted sends a proxy header, or
	// connects where a header is required.
	ErrUntrustedProxy = errors.New("engine: not a trusted proxy")
)

// ProxyOptions are about proxies in front of a Listener. A proxy may say in a header, before the
// first bytes of its client, where the client is. The header comes before everything else on the
// connection, TLS included.
type ProxyOptions struct {
	// Trusts reports whether an address is that of a trusted proxy. MaxPerIP and ConnectRate do not
	// apply to it. Any goroutine may call it.
	Trusts func(netip.Addr) bool
	// ReadHeader reads the header at the front of in. n is its size, 0 when more bytes are needed.
	// client is zero if the header names none. The error is ErrNoProxyHeader if in does not begin
	// with a header. Any loop may call it.
	ReadHeader func(in []byte) (client netip.AddrPort, n int, err error)
	// Required closes trusted proxies that send no header, and all other peers. Otherwise a header
	// is optional: the headers of other peers are skipped.
	Required bool
	// Timeout is how long the header of a trusted proxy may take. Where it is optional, the
	// connection is opened then, if no byte has come.
	Timeout time.Duration
	// Report is called on any goroutine when a peer was closed with ErrProxyHeader, and for
	// ErrUntrustedProxy. It must not block.
	Report func(peer netip.AddrPort, err error)
}

func (p *ProxyOptions) check() error {
	switch {
	case p == nil:
		return nil
	case p.Trusts == nil || p.ReadHeader == nil || p.Report == nil:
		return errors.New("engine: ListenOptions.Proxy: a function is nil")
	case p.Timeout <= 0:
		return fmt.Errorf("engine: ListenOptions.Proxy.Timeout: %v: must be more than 0", p.Timeout)
	}
	return nil
}

// arriving is the Handler of a conn whose proxy header has not been read. Owned by the loop.
type arriving struct {
	Timer
	conn  *Conn
	proxy *ProxyOptions
	next  Handler
}

// awaitHeader makes a new conn wait for the header of its peer, which is trusted or not.
func awaitHeader(c *Conn, proxy *ProxyOptions, trusted bool) {
	if !trusted {
		c.peer = peerMaySendHeader
		return
	}
	a := &arriving{conn: c, proxy: proxy, next: c.handler}
	a.Target = a
	c.peer, c.handler = peerSendsHeader, a
}

// OnOpen implements Handler.
func (a *arriving) OnOpen(c *Conn) { c.loop.Schedule(&a.Timer, a.proxy.Timeout) }

// OnData implements Handler. It is never called: see offer.
func (a *arriving) OnData(*Conn, []byte) int { return 0 }

// OnClose implements Handler. The next Handler does not know the conn.
func (a *arriving) OnClose(c *Conn, _ error) { c.loop.Cancel(&a.Timer) }

// OnTimer is called when the header has not come in time.
func (a *arriving) OnTimer(*Timer) {
	c := a.conn
	if c.Closed() {
		return
	}
	if a.proxy.Required || len(c.unconsumed) > 0 {
		a.refuse(ErrProxyHeader)
		return
	}
	a.arrive(netip.AddrPort{})
}

// readHeader takes the proxy header from the first bytes of a conn. It returns the bytes after it,
// nil if c does not go on with them now.
func readHeader(c *Conn, in []byte) []byte {
	if c.peer == peerMaySendHeader {
		c.peer = peerSends
		return skipHeader(c, in)
	}
	a := c.handler.(*arriving)
	held := len(c.unconsumed) > 0
	if held {
		c.keep(in)
		in = c.unconsumed
	}
	client, n, err := a.proxy.ReadHeader(in)
	switch {
	case errors.Is(err, ErrNoProxyHeader) && !a.proxy.Required:
	case err != nil:
		a.refuse(fmt.Errorf("%w: %w", ErrProxyHeader, err))
		return nil
	case n == 0:
		if !held {
			c.keep(in)
		}
		return nil
	default:
		c.listener.update(func(s *ListenerStats) { s.ProxyHeaders++ })
	}
	rest := in[n:]
	if held {
		rest = slices.Clone(rest)
		c.loop.buffers.put(c.unconsumed)
		c.unconsumed = nil
	}
	a.arrive(client)
	return rest
}

// skipHeader returns the first bytes of a peer that is not trusted, without its proxy header. A
// proxy sends its header at once: what is not complete here is something else.
func skipHeader(c *Conn, in []byte) []byte {
	proxy := c.listener.limits.Load().proxy
	if proxy == nil {
		return in // Update has removed it
	}
	_, n, err := proxy.ReadHeader(in)
	if err != nil || n == 0 {
		return in
	}
	c.listener.update(func(s *ListenerStats) { s.ProxyHeadersIgnored++ })
	proxy.Report(c.remote, ErrUntrustedProxy)
	return in[n:]
}

// arrive opens a conn whose proxy has said, or has not said, where its client is.
func (a *arriving) arrive(client netip.AddrPort) {
	c := a.conn
	if client.IsValid() && !c.SetRemote(client) {
		c.markEnded(ErrAddressLimit)
		return
	}
	c.loop.Cancel(&a.Timer)
	c.peer, c.handler = peerSends, a.next
	c.callOpen()
}

// refuse closes a conn whose proxy has sent no valid header.
func (a *arriving) refuse(err error) {
	c := a.conn
	c.listener.update(func(s *ListenerStats) { s.ProxyHeadersInvalid++ })
	a.proxy.Report(c.remote, err)
	c.markEnded(err)
}
