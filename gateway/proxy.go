package gateway

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/proxyproto"
)

// proxyHeaderWait is how long a trusted proxy may send nothing where a PROXY header is optional.
// Then its connection has none.
const proxyHeaderWait = 2 * time.Second

// Header fields in which a proxy names its client.
const (
	forwardedFor = "X-Forwarded-For"
	forwarded    = "Forwarded" // RFC 7239
	realIP       = "X-Real-IP"
)

// proxies are the addresses of trusted proxies.
type proxies []netip.Prefix // bound: none, fixed by New

// newProxies returns the proxies of a list of addresses and networks.
func newProxies(list []string) (proxies, *ConfigError) {
	all := make(proxies, 0, len(list))
	for _, s := range list {
		prefix, err := netip.ParsePrefix(s)
		if a, aErr := netip.ParseAddr(s); aErr == nil && a.Zone() == "" {
			a = a.Unmap()
			prefix, err = a.Prefix(a.BitLen())
		}
		if err != nil || prefix.Addr().Is4In6() {
			return nil, invalid("TrustProxies", "%q: must be an address or a network, "+
				"for example 10.0.0.5 or 10.0.0.0/8", s)
		}
		all = append(all, prefix)
	}
	return all, nil
}

// has reports whether an address is that of a trusted proxy.
func (p proxies) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// client walks from a trusted proxy to the client, through the hops that proxies have named, the
// last one first. It stops at the first address that is not a trusted proxy's: what comes before it
// may be forged. It also stops, and reports false, at a hop that is no address.
func (p proxies) client(peer netip.AddrPort, hops []string) (netip.AddrPort, bool) {
	for _, hop := range slices.Backward(hops) {
		a, ok := hopAddr(hop)
		if !ok {
			return peer, false
		}
		if peer = a; !p.has(a.Addr()) {
			break
		}
	}
	return peer, true
}

// hopAddr reads an address with or without a port. Without one the port is 0.
func hopAddr(hop string) (a netip.AddrPort, ok bool) {
	if i := strings.LastIndex(hop, ":_"); i > 0 { // a hidden port (RFC 7239 section 6.2)
		hop = hop[:i]
	}
	a, err := netip.ParseAddrPort(hop)
	if err != nil {
		if strings.HasPrefix(hop, "[") && strings.HasSuffix(hop, "]") {
			hop = hop[1 : len(hop)-1]
		}
		var addr netip.Addr
		if addr, err = netip.ParseAddr(hop); err == nil {
			a = netip.AddrPortFrom(addr, 0)
		}
	}
	if err != nil || a.Addr().Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), true
}

// hops returns what the first field of ProxyHeaders that is in the request says of the request's
// way, nil if there is none. A hop that the field does not name is empty.
func (l *listener) hops(req *codec.Request) (hops []string) {
	for _, field := range l.ProxyHeaders {
		found := false
		for name, value := range req.Headers() {
			if !strings.EqualFold(name, field) {
				continue
			}
			found = true
			if strings.EqualFold(field, forwarded) {
				hops = append(hops, forwardedHops(value)...)
				continue
			}
			for hop := range strings.SplitSeq(value, ",") {
				hops = append(hops, strings.Trim(hop, " \t"))
			}
		}
		if found {
			break
		}
	}
	return hops
}

// forwardedHops returns the parameter for of each element of a Forwarded field (RFC 7239 section
// 4).
func forwardedHops(value string) (hops []string) {
	for _, element := range splitQuoted(value, ',') {
		hop := ""
		for _, pair := range splitQuoted(element, ';') {
			if name, v, _ := strings.Cut(strings.Trim(pair, " \t"), "="); strings.EqualFold(name, "for") {
				hop = unquote(v)
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

// splitQuoted splits s at a separator, except within a quoted-string (RFC 9110 section 5.6.4).
func splitQuoted(s string, sep byte) (parts []string) {
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// unquote returns the value of a token or a quoted-string. An address needs no escapes.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// locate gives the connection of a request the address of the client that the proxies before it
// name. It reports whether the listener's limits for that address allow the connection.
func (l *listener) locate(s *session, req *codec.Request) bool {
	hops := l.hops(req)
	if hops == nil {
		return true
	}
	peer := s.conn.RemoteAddr()
	if !l.proxies.has(peer.Addr()) {
		s.loop.stats.ForwardedIgnored++
		return true
	}
	client, ok := l.proxies.client(peer, hops)
	if !ok {
		s.loop.stats.ForwardedInvalid++
	}
	if client != peer && !s.conn.SetRemote(client) {
		s.loop.access.overLimit(s, client)
		return false
	}
	return true
}

// proxyOptions returns what the engine has to know of the proxies of the listener, nil without any.
func (l *listener) proxyOptions() *engine.ProxyOptions {
	if len(l.proxies) == 0 {
		return nil
	}
	o := &engine.ProxyOptions{
		Trusts: l.proxies.has, Required: l.RequireProxy, Timeout: l.HandshakeTimeout, Report: l.reportProxy,
		ReadHeader: func(in []byte) (client netip.AddrPort, n int, err error) {
			if client, n, err = proxyproto.Read(in); errors.Is(err, proxyproto.ErrNone) {
				err = engine.ErrNoProxyHeader
			}
			return client, n, err
		},
	}
	if !l.RequireProxy {
		o.Timeout = min(o.Timeout, proxyHeaderWait)
	}
	return o
}

// reportProxy logs, at a limited rate, what a peer has done that a proxy must not do.
func (l *listener) reportProxy(peer netip.AddrPort, err error) {
	g := l.g
	if !g.clientLogs.Allow() {
		return
	}
	<-l.ready
	switch {
	case !errors.Is(err, engine.ErrUntrustedProxy):
		g.log.Warn("connection rejected: invalid PROXY header", "listener", l.URL, "remote", peer.String(), "err", err)
	case l.RequireProxy:
		g.log.Warn("connection rejected: not a trusted proxy", "listener", l.URL, "remote", peer.String(),
			"fix", "name the proxy in --trust-proxy (ListenerConfig.TrustProxies)")
	default:
		g.log.Warn("PROXY header ignored: not a trusted proxy", "listener", l.URL, "remote", peer.String(),
			"fix", "if this is a proxy of yours, name it in --trust-proxy (ListenerConfig.TrustProxies)")
	}
}
