package engine

import "net/netip"

// listenLimits are the limits of a Listener that Update replaces.
type listenLimits struct {
	conn               ConnOptions // of the connections that are accepted from now on
	maxConns, maxPerIP int         // zero: no limit
	connectRate        int         // zero: no limit
	rate               *connRate   // nil: no limit; owned by the accept goroutine
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
	conn.counted = o.MaxPerIP > 0
	return &listenLimits{conn, o.MaxConns, o.MaxPerIP, o.ConnectRate, newConnRate(o.ConnectRate)}, nil
}

// Update replaces Conn, MaxConns, MaxPerIP and ConnectRate of the options that Listen was given. It
// ignores the others. They apply to connections that are accepted from then on; open ones keep
// their ConnOptions, and stay open if there are more of them than the limits allow. Connections
// that were accepted while there was no MaxPerIP do not count against it. Any goroutine may call
// it.
func (ln *Listener) Update(o ListenOptions) error {
	next, err := o.limits()
	if err != nil {
		return err
	}
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if now := ln.limits.Load(); now.connectRate == next.connectRate {
		next.rate = now.rate // it knows who has connected lately
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

// acquire counts a new connection. It returns false if a limit is reached.
func (ln *Listener) acquire(remote netip.AddrPort, limits *listenLimits) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if limits.maxConns > 0 && ln.conns >= limits.maxConns {
		ln.stats.OverMaxConns++
		return false
	}
	if limits.maxPerIP > 0 {
		from := origin(remote)
		if ln.perIP[from] >= limits.maxPerIP {
			ln.stats.OverMaxPerIP++
			return false
		}
		ln.perIP[from]++
	}
	ln.conns++
	return true
}

// release counts a connection that has ended. counted is that of its options. Any goroutine may
// call it.
func (ln *Listener) release(remote netip.AddrPort, counted bool) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.conns--
	if !counted {
		return
	}
	from := origin(remote)
	if ln.perIP[from]--; ln.perIP[from] == 0 {
		delete(ln.perIP, from)
	}
}
