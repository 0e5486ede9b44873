package codec

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// checkOrigin returns nil when the page that asks may connect: its origin is one of Origins, or it
// came from the server itself under one of the server's names. Programs other than browsers send no
// Origin.
func checkOrigin(r *Request, o *UpgradeOptions) error {
	switch r.count("Origin") {
	case 0:
		return nil
	case 1:
	default:
		return fmt.Errorf("%w: the request has several Origin headers", ErrOrigin)
	}
	origin, host := r.Header("Origin"), r.Header("Host")
	u, err := url.Parse(origin)
	own := err == nil && isOwn(u, host)
	switch {
	case own && o.Serves(host) || err == nil && matches(o.Origins, u.Scheme, u.Host):
		return nil
	case own:
		return fmt.Errorf("%w: the page was requested by the host name %q, which is not a name of this server",
			ErrOrigin, host)
	}
	return fmt.Errorf("%w: %q is neither the origin of the requested host %q nor an allowed one", ErrOrigin,
		origin, host)
}

// isOwn reports whether a page of an origin came from the host that is asked. Where one of them has
// no port, it has the scheme's default.
func isOwn(origin *url.URL, host string) bool {
	name, port := splitHost(origin.Host)
	asked, askedPort := splitHost(host)
	if name == "" || name != asked {
		return false
	}
	usual := usualPort(origin.Scheme)
	return cmp.Or(port, usual) == cmp.Or(askedPort, usual)
}

// usualPort is the default port of a scheme.
func usualPort(scheme string) string {
	switch strings.ToLower(scheme) {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

// Serves reports whether a name, with or without a port, is one of the server's: the name in a Host
// header, for example. A browser may have a page under another name that asks as if it were the
// server's own, because the owner of that name lets it resolve to the server's address (DNS
// rebinding).
func (o *UpgradeOptions) Serves(host string) bool {
	if !o.Loopback && len(o.Hosts) == 0 {
		return true
	}
	name, _ := splitHost(host)
	return isLoopback(name) || matches(o.Hosts, "", host) || matches(o.Origins, "", host)
}

// matches reports whether a list names a host. An element without a port is for any port, one
// without a scheme for any scheme, and a slash may end it. host is empty for an opaque origin. A
// host without a port has the default port of the scheme; without a scheme, as in a Host header, it
// has that of http or https.
func matches(list []string, scheme, host string) bool {
	name, port := splitHost(host)
	port = cmp.Or(port, usualPort(scheme))
	for _, entry := range list {
		if entry == "*" {
			return true
		}
		if s, rest, ok := strings.Cut(entry, "://"); ok {
			if scheme != "" && !strings.EqualFold(s, scheme) {
				continue
			}
			entry = rest
		}
		allowed, only := splitHost(strings.TrimSuffix(entry, "/"))
		usual := port == "" && scheme == "" && (only == "80" || only == "443")
		if name == "" || only != "" && only != port && !usual {
			continue
		}
		if name == allowed || strings.HasPrefix(allowed, "*.") && strings.HasSuffix(name, allowed[1:]) {
			return true
		}
	}
	return false
}

// splitHost splits host[:port]. The name is returned in lower case, without brackets and without a
// dot at its end.
func splitHost(host string) (name, port string) {
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && (i == strings.IndexByte(host, ':') ||
		strings.HasSuffix(host[:i], "]")) {
		name, port = host[:i], host[i+1:]
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	return strings.ToLower(strings.TrimSuffix(name, ".")), port
}

// isLoopback reports whether a browser resolves a name to its own machine only (RFC 6761 section
// 6.3).
func isLoopback(name string) bool {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Zone() == "" && a.Unmap().IsLoopback()
}
