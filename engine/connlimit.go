package engine

import "net/netip"

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
func (ln *Listener) acquire(remote netip.AddrPort) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.maxConns > 0 && ln.conns >= ln.maxConns {
		ln.stats.OverMaxConns++
		return false
	}
	if ln.maxPerIP > 0 {
		from := origin(remote)
		if ln.perIP[from] >= ln.maxPerIP {
			ln.stats.OverMaxPerIP++
			return false
		}
		ln.perIP[from]++
	}
	ln.conns++
	return true
}

// release counts a connection that has ended. Any goroutine may call it.
func (ln *Listener) release(remote netip.AddrPort) {
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
