package engine

import "net/netip"

// limits are the limits of a listener. Zero means no limit.
type limits struct{ conns, perIP int }

// connCount counts the open connections of a listener.
type connCount struct {
	total int
	perIP map[netip.Addr]int // used only with a limit; bound: connections of a listener
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
func (ln *Listener) acquire(remote netip.AddrPort) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.limits.conns > 0 && ln.count.total >= ln.limits.conns {
		ln.stats.OverMaxConns++
		return false
	}
	if ln.limits.perIP > 0 && remote.IsValid() {
		from := origin(remote)
		if ln.count.perIP[from] >= ln.limits.perIP {
			ln.stats.OverMaxPerIP++
			return false
		}
		ln.count.perIP[from]++
	}
	ln.count.total++
	return true
}

// release counts a connection that has ended. Any goroutine may call it.
func (ln *Listener) release(remote netip.AddrPort) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.count.total--
	if ln.limits.perIP == 0 || !remote.IsValid() {
		return
	}
	from := origin(remote)
	if ln.count.perIP[from]--; ln.count.perIP[from] == 0 {
		delete(ln.count.perIP, from)
	}
}
