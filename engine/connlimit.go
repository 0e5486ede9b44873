package engine

import "net/netip"

// origin is who a limit per address is for: a whole /64 with IPv6, because that
// is what one customer has.
func origin(remote netip.AddrPort) netip.Addr {
	a := remote.Addr()
	if a.Is6() {
		p, _ := a.WithZone("").Prefix(64)
		return p.Addr()
	}
	return a
}

// enter counts a connection in unless a limit is reached.
func (ln *Listener) enter(remote netip.AddrPort) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.maxConns > 0 && ln.conns >= ln.maxConns {
		ln.figures.OverMaxConns++
		return false
	}
	if ln.maxPerIP > 0 {
		from := origin(remote)
		if ln.perIP[from] >= ln.maxPerIP {
			ln.figures.OverMaxPerIP++
			return false
		}
		ln.perIP[from]++
	}
	ln.conns++
	return true
}

// left counts it out. Any goroutine.
func (ln *Listener) left(remote netip.AddrPort) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.conns--
	if ln.maxPerIP == 0 {
		return
	}
	from := origin(remote)
	if ln.perIP[from]--; ln.perIP[from] == 0 {
		delete(ln.perIP, from)
	}
}
