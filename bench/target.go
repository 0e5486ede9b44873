package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// target is one of Options.Targets, taken apart. It is static.
type target struct {
	given string // as in Options.Targets
	tls   bool
	host  string // a name or an address, without brackets; empty: this machine
	port  string
	asked string   // the Host header: the name as given, with the port where that is not the scheme's (RFC 6455 section 4.1, RFC 9110 section 7.2)
	path  template // of the handshake, with its query
	addrs []string // HOST:PORT of each address that the name has
}

// A scheme is what a target's URL begins with.
type scheme struct {
	ws, tls bool
	port    string // where the URL has none; empty: it must have one
}

// schemes are all of them.
var schemes = map[string]scheme{"ws": {ws: true, port: "80"}, "wss": {ws: true, tls: true, port: "443"}, "tcp": {}, "tls": {tls: true}}

// schemeOf is the scheme of a target, lower case (RFC 3986 section 3.1), and what follows it; ok is false for a bare HOST:PORT.
func schemeOf(given string) (name, rest string, ok bool) {
	if name, rest, ok = strings.Cut(given, "://"); !ok {
		return "", given, false
	}
	return strings.ToLower(name), rest, true
}

// DefaultCodec is the codec of a run whose options name none: text for the schemes tcp and tls, WebSocket otherwise.
func DefaultCodec(targets []string) Codec {
	if len(targets) > 0 {
		if name, _, ok := schemeOf(targets[0]); ok && !schemes[name].ws {
			return Text
		}
	}
	return WebSocket
}

// parseTarget reads HOST:PORT, or a URL. f is the format that is spoken there.
func (o *Options) parseTarget(given string, f WireFormat) (t target, err error) {
	name, rest, isURL := schemeOf(given)
	s := scheme{ws: f.Codec == WebSocket, port: "80"}
	if isURL {
		var known bool
		if s, known = schemes[name]; !known {
			return t, fmt.Errorf("there is no scheme %q: it is one of ws, wss, tcp, tls", name)
		}
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 && isURL {
		authority, path = rest[:i], rest[i:]
	}
	if strings.HasPrefix(path, "?") {
		path = "/" + path
	}
	switch {
	case isURL && s.ws != (f.Codec == WebSocket):
		return t, fmt.Errorf("codec %s does not go with scheme %s", f.Codec, name)
	case strings.Contains(path, "#"):
		return t, errors.New("a fragment is not sent to a server")
	case !s.ws && path != "":
		return t, fmt.Errorf("scheme %s has no path", name)
	case path != "" && o.Path != "" && o.Path != "/":
		return t, fmt.Errorf("it has a path, and --path is %s", o.Path)
	case path == "":
		path = o.Path
	}
	t = target{given: given, tls: s.tls}
	if err := cmp.Or(t.split(authority, s, isURL), checkPath(path)); err != nil {
		return t, err
	}
	t.path, err = parseTemplate(path, atHandshake, nil)
	return t, err
}

// atHandshake are the placeholders that mean something before anything has been sent.
var atHandshake = []string{"conn", "line", "time"}

// split takes host and port apart.
func (t *target) split(authority string, s scheme, isURL bool) (err error) {
	if !isURL {
		if t.host, t.port, err = net.SplitHostPort(authority); err != nil {
			return err
		}
	} else {
		u, err := url.Parse("//" + authority)
		if err != nil {
			return errors.New("is no host and port")
		}
		if u.User != nil {
			return errors.New("a user and password have no place in it: take --header 'Authorization: VALUE'")
		}
		if t.host, t.port = u.Hostname(), u.Port(); t.host == "" {
			return errors.New("the host is missing")
		}
		set(&t.port, s.port)
	}
	t.asked = t.host
	set(&t.asked, "localhost")
	t.asked, _, _ = strings.Cut(t.asked, "%") // a zone means something here alone (RFC 6874)
	if strings.Contains(t.asked, ":") {
		t.asked = "[" + t.asked + "]"
	}
	if t.port != s.port {
		t.asked += ":" + t.port
	}
	return valid.Port(t.port)
}

// checkPath wants of a path what a request line takes: visible ASCII (RFC 3986 section 2), beginning with a slash.
func checkPath(path string) error {
	if path != "" && path[0] != '/' {
		return fmt.Errorf("path %q has to begin with a slash", path)
	}
	if i := strings.IndexFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f }); i >= 0 {
		return fmt.Errorf("path %q: what is at %d has to be percent-encoded", path, i)
	}
	return nil
}

// targets are all targets, by how they are given. An error says which makes no sense.
func (o *Options) targets() (map[string]*target, error) {
	formats := o.Mix
	if len(formats) == 0 {
		formats = []WireFormat{o.format(0)}
	}
	all := make(map[string]*target)
	for _, f := range formats {
		for _, given := range f.Targets {
			t, err := o.parseTarget(given, f)
			if err != nil {
				return nil, fmt.Errorf("target %q: %w", given, err)
			}
			for _, ip := range o.ips(t.host) {
				t.addrs = append(t.addrs, net.JoinHostPort(ip, t.port))
			}
			all[given] = &t
		}
	}
	return all, nil
}

// ips are the addresses of a host: those that were found, or itself.
func (o *Options) ips(host string) []string {
	if found := o.Addresses[host]; len(found) > 0 {
		return found
	}
	return []string{host}
}

// overTLS tells whether a target speaks TLS.
func (o *Options) overTLS() bool {
	return slices.ContainsFunc(o.Targets, func(given string) bool {
		name, _, _ := schemeOf(given)
		return schemes[name].tls
	})
}

// probeWithin is how long an address of several may take to accept.
const probeWithin = 3 * time.Second

// resolve asks once for the addresses of each name, into Options.Addresses: connections are spread over all of them. Of a name that has several, those that accept nothing
// are left out, and unreachable says which, a sentence each.
func (o *Options) resolve(ctx context.Context) (unreachable []string, err error) {
	targets, err := o.targets()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	locals, err := addresses(o.Sources)
	if err != nil {
		return nil, fmt.Errorf("%w: source %w", ErrOptions, err)
	}
	from := newSources(locals)
	found := make(map[string][]string)
	for _, given := range slices.Sorted(maps.Keys(targets)) {
		t := targets[given]
		if _, err := netip.ParseAddr(t.host); err == nil || t.host == "" {
			continue
		}
		if found[t.host] = o.Addresses[t.host]; len(found[t.host]) == 0 {
			if found[t.host], err = net.DefaultResolver.LookupHost(ctx, t.host); err != nil {
				return nil, fmt.Errorf("bench: target %s: %w", given, err)
			}
		}
		ips, refused := t.probe(ctx, found[t.host], from)
		if len(ips) == 0 {
			return nil, fmt.Errorf("bench: target %s: no address of %s accepts connections: %w", given, t.host, errors.Join(refused...))
		}
		found[t.host] = ips
		for _, err := range refused {
			unreachable = append(unreachable, fmt.Sprintf("an address of %s got no connections: %v", t.host, err))
		}
	}
	if len(found) > 0 {
		o.Addresses = found
	}
	return unreachable, nil
}

// probe tells the addresses that accept connections from a local one that fits, if there are some, from those that do not. A single one is not tried: the run will tell.
func (t *target) probe(ctx context.Context, ips []string, from *sources) (accept []string, refused []error) {
	if len(ips) == 1 {
		return ips, nil
	}
	results := make([]error, len(ips))
	var all sync.WaitGroup
	for i, ip := range ips {
		all.Go(func() {
			addr := net.JoinHostPort(ip, t.port)
			source, err := from.source(0, addr)
			if results[i] = err; err != nil {
				return
			}
			d := net.Dialer{Timeout: probeWithin, LocalAddr: source}
			nc, err := d.DialContext(ctx, "tcp", addr)
			if results[i] = err; err == nil {
				_ = nc.Close()
			}
		})
	}
	all.Wait()
	for i, err := range results {
		if err == nil {
			accept = append(accept, ips[i])
		} else {
			refused = append(refused, err)
		}
	}
	return accept, refused
}

// addrs are all different HOST:PORT that there are to dial.
func (o *Options) addrs() (all []string, err error) {
	targets, err := o.targets()
	for _, t := range targets {
		all = append(all, t.addrs...)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

// ipOf is the address in HOST:PORT; of a name, or of none, the zero value.
func ipOf(addr string) netip.Addr {
	host, _, _ := net.SplitHostPort(addr)
	ip, _ := netip.ParseAddr(host)
	return ip.Unmap()
}
