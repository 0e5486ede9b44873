package engine

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// listenLimits are the limits of a Listener that Update replaces.
type listenLimits struct {
	conn               ConnOptions   // of the connections that are accepted from now on
	maxConns, maxPerIP int           // zero: no limit
	connectRate        int           // zero: no limit
	proxy              *ProxyOptions // nil: no proxies
	rate               *connRate     // nil: no limit; guarded by mu of the listener
	tls                *TLSOptions   // nil: no TLS
	handshakeRate      *rate.Limiter // nil: no limit
}

// limits checks the options and returns the limits among them.
func (o *ListenOptions) limits() (*listenLimits, error) {
	err := checkNumbers("ListenOptions",
		number{"MaxConns", int64(o.MaxConns)}, number{"MaxPerIP", int64(o.MaxPerIP)},
		number{"ConnectRate", int64(o.ConnectRate)}, number{"Reserve", int64(o.Reserve)})
	if err != nil {
		return nil, err
	}
	conn, err := o.Conn.check("ListenOptions.Conn")
	if err != nil {
		return nil, err
	}
	if err := o.Proxy.check(); err != nil {
		return nil, err
	}
	limits := &listenLimits{
		conn: conn, maxConns: o.MaxConns, maxPerIP: o.MaxPerIP, proxy: o.Proxy,
		connectRate: o.ConnectRate, rate: newConnRate(o.ConnectRate),
	}
	if limits.tls, err = o.TLS.check(); err != nil {
		return nil, err
	}
	if limits.tls != nil && limits.tls.HandshakeRate > 0 {
		limits.handshakeRate = rate.NewLimiter(rate.Limit(limits.tls.HandshakeRate), limits.tls.HandshakeRate)
	}
	return limits, nil
}

// Update replaces Conn, Proxy, MaxConns, MaxPerIP, ConnectRate and TLS of the options that Listen
// was given. It ignores the others, and cannot add or remove TLS. They apply to connections that
// are accepted from then on; open ones keep their ConnOptions, and stay open if there are more of
// them than the limits allow. Connections that were accepted while there was no MaxPerIP do not
// count against it. Any goroutine may call it.
func (ln *Listener) Update(o ListenOptions) error {
	next, err := o.limits()
	if err != nil {
		return err
	}
	if (next.tls != nil) != (ln.tls != nil) {
		return errors.New("engine: Update cannot add or remove TLS")
	}
	ln.mu.Lock()
	defer ln.mu.Unlock()
	now := ln.limits.Load()
	if now.connectRate == next.connectRate {
		next.rate = now.rate // it knows who has connected lately
	}
	if next.tls != nil && now.tls.HandshakeRate == next.tls.HandshakeRate {
		next.handshakeRate = now.handshakeRate
	}
	ln.limits.Store(next)
	return nil
}

// origin returns the address that a limit per address applies to. For IPv6 it is the /64, because
// one customer has a whole /64.
func origin(remote netip.AddrPort) netip.Addr {
	a := remote.Addr()
	if a.Is6() {
		p, _ := a.WithZone("").Prefix(64)
		return p.Addr()
	}
	return a
}

// trusts reports whether an address is that of a trusted proxy.
func (ln *Listener) trusts(remote netip.AddrPort) bool {
	p := ln.limits.Load().proxy
	return p != nil && p.Trusts(remote.Addr())
}

// acquire counts a new connection. ok is false if a limit is reached. The limits per address do not
// apply to an exempt one. counted says whether the connection counts for its address.
func (ln *Listener) acquire(remote netip.AddrPort, limits *listenLimits, exempt bool) (counted, ok bool) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if !exempt && !ln.rateAllows(remote, limits) {
		return false, false
	}
	if limits.maxConns > 0 && ln.conns >= limits.maxConns {
		ln.stats.OverMaxConns++
		return false, false
	}
	if counted = limits.maxPerIP > 0 && !exempt; counted && !ln.count(remote, limits) {
		return false, false
	}
	ln.conns++
	return counted, true
}

// reassign counts an open connection for another address than before. counted says whether it
// counted for its address, and now whether it counts from then on. ok is false, and nothing has
// changed, if a limit of the new address is reached.
func (ln *Listener) reassign(from netip.AddrPort, counted bool, to netip.AddrPort) (now, ok bool) {
	exempt, limits := ln.trusts(to), ln.limits.Load()
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if !exempt && origin(to) != origin(from) && !ln.rateAllows(to, limits) {
		return counted, false
	}
	if now = limits.maxPerIP > 0 && !exempt; now && !ln.count(to, limits) {
		return counted, false
	}
	if counted {
		ln.uncount(from)
	}
	return now, true
}

// rateAllows counts a connection against the rate of its address. The caller holds mu.
func (ln *Listener) rateAllows(remote netip.AddrPort, limits *listenLimits) bool {
	if f := limits.rate; f != nil && !f.allow(origin(remote), time.Since(f.start)) {
		ln.stats.OverRate++
		return false
	}
	return true
}

// count counts a connection for its address. The caller holds mu.
func (ln *Listener) count(remote netip.AddrPort, limits *listenLimits) bool {
	from := origin(remote)
	if ln.perIP[from] >= limits.maxPerIP {
		ln.stats.OverMaxPerIP++
		return false
	}
	ln.perIP[from]++
	return true
}

// uncount is the reverse of count. The caller holds mu.
func (ln *Listener) uncount(remote netip.AddrPort) {
	from := origin(remote)
	if ln.perIP[from]--; ln.perIP[from] == 0 {
		delete(ln.perIP, from)
	}
}

// release counts a connection that has ended. Any goroutine may call it.
func (ln *Listener) release(remote netip.AddrPort, counted bool) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.conns--
	if counted {
		ln.uncount(remote)
	}
}
