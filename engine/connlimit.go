package engine

import "net/netip"

// limits on what a listener lets in; zero means none.
type limits struct{ conns, perIP int }

// census counts the open connections of a listener.
type census struct {
	total int
	perIP map[netip.Addr]int // kept only while there is a limit; bound: connections of a listener
}

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
	if ln.limits.conns > 0 && ln.census.total >= ln.limits.conns {
		ln.figures.OverMaxConns++
		return false
	}
	if ln.limits.perIP > 0 && remote.IsValid() {
		from := origin(remote)
		if ln.census.perIP[from] >= ln.limits.perIP {
			ln.figures.OverMaxPerIP++
			return false
		}
		ln.census.perIP[from]++
	}
	ln.census.total++
	return true
}

// left counts it out. Any goroutine.
func (ln *Listener) left(remote netip.AddrPort) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.census.total--
	if ln.limits.perIP == 0 || !remote.IsValid() {
		return
	}
	from := origin(remote)
	if ln.census.perIP[from]--; ln.census.perIP[from] == 0 {
		delete(ln.census.perIP, from)
	}
}
