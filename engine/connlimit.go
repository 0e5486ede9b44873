package engine

import (
	"net/netip"
	"time"
)

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
	return ln.proxy != nil && ln.proxy.Trusts(remote.Addr())
}

// acquire counts a new connection. ok is false if a limit is reached. The limits per address do not
// apply to an exempt one. counted says whether the connection counts for its address.
func (ln *Listener) acquire(remote netip.AddrPort, exempt bool) (counted, ok bool) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if !exempt && !ln.rateAllows(remote) {
		return false, false
	}
	if ln.maxConns > 0 && ln.conns >= ln.maxConns {
		ln.stats.OverMaxConns++
		return false, false
	}
	if counted = ln.maxPerIP > 0 && !exempt; counted && !ln.count(remote) {
		return false, false
	}
	ln.conns++
	return counted, true
}

// reassign counts an open connection for another address than before. It returns false, and changes
// nothing, if a limit of that address is reached.
func (ln *Listener) reassign(c *Conn, remote netip.AddrPort) bool {
	exempt := ln.trusts(remote)
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if !exempt && origin(remote) != origin(c.remote) && !ln.rateAllows(remote) {
		return false
	}
	counted := ln.maxPerIP > 0 && !exempt
	if counted && !ln.count(remote) {
		return false
	}
	if c.counted {
		ln.uncount(c.remote)
	}
	c.counted = counted
	return true
}

// rateAllows counts a connection against the rate of its address. The caller holds mu.
func (ln *Listener) rateAllows(remote netip.AddrPort) bool {
	if f := ln.rate; f != nil && !f.allow(origin(remote), time.Since(f.start)) {
		ln.stats.OverRate++
		return false
	}
	return true
}

// count counts a connection for its address. The caller holds mu.
func (ln *Listener) count(remote netip.AddrPort) bool {
	from := origin(remote)
	if ln.perIP[from] >= ln.maxPerIP {
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
