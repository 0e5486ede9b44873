package codec

import (
	"net/netip"
	"net/url"
	"strings"
)

// allowedOrigin reports whether the page that asks may connect: one of Origins, or one that came from the server itself, by a name that is the server's. Programs that are no
// browser send no Origin.
func allowedOrigin(r *Request, o *UpgradeOptions) bool {
	if r.count("Origin") == 0 {
		return true
	}
	u, err := url.Parse(r.Header("Origin"))
	if err != nil || r.count("Origin") > 1 {
		return false
	}
	if u.Host != "" && strings.EqualFold(u.Host, r.Header("Host")) && o.Serves(u.Host) {
		return true
	}
	return matches(o.Origins, u.Scheme, u.Host)
}

// Serves reports whether the server goes by a name, which may have a port behind it: by that of a Host header, for example. A page that a browser has by another name is
// somebody else's, though it asks as if it were the server's own: whoever owns that name has it lead to the server only now (DNS rebinding).
func (o *UpgradeOptions) Serves(host string) bool {
	if !o.Loopback && len(o.Hosts) == 0 {
		return true
	}
	name, _ := splitHost(host)
	return isLoopback(name) || matches(o.Hosts, "", host) || matches(o.Origins, "", host)
}

// matches reports whether a list names a host. An element without a port is for any port, one without a scheme for any scheme; host is empty of an origin that is opaque.
func matches(list []string, scheme, host string) bool {
	name, port := splitHost(host)
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
		allowed, only := splitHost(entry)
		if name == "" || only != "" && only != port {
			continue
		}
		if name == allowed || strings.HasPrefix(allowed, "*.") && strings.HasSuffix(name, allowed[1:]) {
			return true
		}
	}
	return false
}

// splitHost cuts host[:port]. The name is in lower case, without brackets, and without the dot that may end it.
func splitHost(host string) (name, port string) {
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && (i == strings.IndexByte(host, ':') || strings.HasSuffix(host[:i], "]")) {
		name, port = host[:i], host[i+1:]
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	return strings.ToLower(strings.TrimSuffix(name, ".")), port
}

// isLoopback reports whether a name cannot lead a browser to another machine than its own (RFC 6761 section 6.3).
func isLoopback(name string) bool {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Zone() == "" && a.Unmap().IsLoopback()
}
