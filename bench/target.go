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

// target is one of Options.Targets, parsed. It is static.
type target struct {
	given string // as in Options.Targets
	tls   bool
	host  string // a name, or an address without brackets; empty: this machine
	port  string
	asked string   // Host header (RFC 6455 section 4.1, RFC 9110 section 7.2)
	path  template // of the handshake, with its query
	addrs []string // HOST:PORT of each address of the host
}

type scheme struct {
	ws, tls bool
	port    string // default; empty: the URL must have a port
}

var schemes = map[string]scheme{
	"ws": {ws: true, port: "80"}, "wss": {ws: true, tls: true, port: "443"}, "tcp": {}, "tls": {tls: true},
}

// schemeOf returns the scheme of a URL in lower case (RFC 3986 section 3.1), and the
// rest. ok is false for HOST:PORT.
func schemeOf(given string) (name, rest string, ok bool) {
	if name, rest, ok = strings.Cut(given, "://"); !ok {
		return "", given, false
	}
	return strings.ToLower(name), rest, true
}

// DefaultCodec is the codec of options that have none: Text for targets with the
// schemes tcp and tls, else WebSocket.
func DefaultCodec(targets []string) Codec {
	if len(targets) > 0 {
		if name, _, ok := schemeOf(targets[0]); ok && !schemes[name].ws {
			return Text
		}
	}
	return WebSocket
}

// parseTarget parses HOST:PORT or a URL. f is the format of the connections to it.
func parseTarget(o *Options, given string, f WireFormat) (*target, error) {
	name, authority, isURL := schemeOf(given)
	s, path := scheme{ws: f.Codec == WebSocket, port: "80"}, ""
	if isURL {
		var known bool
		if s, known = schemes[name]; !known {
			return nil, fmt.Errorf("scheme %q is not one of ws, wss, tcp, tls", name)
		}
		if i := strings.IndexAny(authority, "/?#"); i >= 0 {
			authority, path = authority[:i], authority[i:]
		}
		if strings.HasPrefix(path, "?") {
			path = "/" + path
		}
	}
	switch {
	case isURL && s.ws != (f.Codec == WebSocket):
		return nil, fmt.Errorf("codec %s does not go with scheme %s", f.Codec, name)
	case strings.Contains(path, "#"):
		return nil, errors.New("a fragment is not sent to a server")
	case !s.ws && path != "":
		return nil, fmt.Errorf("scheme %s has no path", name)
	case path != "" && o.Path != "" && o.Path != "/":
		return nil, fmt.Errorf("it has a path, and --path is %s", o.Path)
	}
	path = cmp.Or(path, o.Path)
	t := &target{given: given, tls: s.tls}
	err := cmp.Or(t.parseAuthority(authority, s, isURL), checkPath(path))
	if err == nil {
		t.path, err = parseTemplate(path, atHandshake, nil)
	}
	return t, err
}

// atHandshake are the placeholders that have a value before a message is sent.
var atHandshake = []string{"conn", "line", "time"}

// parseAuthority sets host, port and Host header.
func (t *target) parseAuthority(authority string, s scheme, isURL bool) (err error) {
	if !isURL {
		if t.host, t.port, err = net.SplitHostPort(authority); err != nil {
			return err
		}
	} else {
		u, err := url.Parse("//" + authority)
		switch {
		case err != nil:
			return errors.New("not a host and port")
		case u.User != nil:
			return errors.New("user and password are not supported: use --header 'Authorization: ...'")
		case u.Hostname() == "":
			return errors.New("the host is missing")
		}
		t.host, t.port = u.Hostname(), cmp.Or(u.Port(), s.port)
	}
	t.asked, _, _ = strings.Cut(cmp.Or(t.host, "localhost"), "%") // a zone is local (RFC 6874)
	if strings.Contains(t.asked, ":") {
		t.asked = "[" + t.asked + "]"
	}
	if t.port != s.port {
		t.asked += ":" + t.port
	}
	return valid.Port(t.port)
}

// checkPath refuses what a request line cannot hold (RFC 3986 section 2).
func checkPath(path string) error {
	if path != "" && path[0] != '/' {
		return fmt.Errorf("path %q must begin with a slash", path)
	}
	if i := strings.IndexFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f }); i >= 0 {
		return fmt.Errorf("path %q: the character at %d must be percent-encoded", path, i)
	}
	return nil
}

// parseTargets parses all targets; the keys are as given.
func parseTargets(o *Options) (map[string]*target, error) {
	all := make(map[string]*target)
	for _, f := range o.formats() {
		for _, given := range f.Targets {
			t, err := parseTarget(o, given, f)
			if err != nil {
				return nil, fmt.Errorf("target %q: %w", given, err)
			}
			ips := o.Addresses[t.host]
			if len(ips) == 0 {
				ips = []string{t.host}
			}
			for _, ip := range ips {
				t.addrs = append(t.addrs, net.JoinHostPort(ip, t.port))
			}
			all[given] = t
		}
	}
	return all, nil
}

func (o *Options) overTLS() bool {
	return slices.ContainsFunc(o.Targets, func(given string) bool {
		name, _, _ := schemeOf(given)
		return schemes[name].tls
	})
}

// probeWithin is how long an address may take to accept a connection.
const probeWithin = 3 * time.Second

// resolve looks up the names of targets once and sets Options.Addresses. If a name has several
// addresses, those that accept no connection are left out; unreachable has a sentence for each.
func resolve(ctx context.Context, o *Options) (unreachable []string, err error) {
	targets, err := parseTargets(o)
	from, err2 := parseSources(o.Sources)
	if err := cmp.Or(err, err2); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	found := make(map[string][]string)
	for _, given := range slices.Sorted(maps.Keys(targets)) {
		t := targets[given]
		if _, err := netip.ParseAddr(t.host); err == nil || t.host == "" {
			continue
		}
		ips := o.Addresses[t.host]
		if len(ips) == 0 {
			if ips, err = net.DefaultResolver.LookupHost(ctx, t.host); err != nil {
				return nil, fmt.Errorf("bench: target %s: %w", given, err)
			}
		}
		accept, refused := t.probe(ctx, ips, from)
		if len(accept) == 0 {
			return nil, fmt.Errorf("bench: target %s: no address of %s accepts connections: %w",
				given, t.host, errors.Join(refused...))
		}
		found[t.host] = accept
		for _, err := range refused {
			unreachable = append(unreachable, fmt.Sprintf("an address of %s got no connections: %v", t.host, err))
		}
	}
	if len(found) > 0 {
		o.Addresses = found
	}
	return unreachable, nil
}

// probe tells the addresses that accept connections from the others. A single address
// is not tried: the run will tell.
func (t *target) probe(ctx context.Context, ips []string, from *sources) (accept []string, refused []error) {
	if len(ips) == 1 {
		return ips, nil
	}
	results := make([]error, len(ips))
	var all sync.WaitGroup
	for i, ip := range ips {
		all.Go(func() {
			addr := net.JoinHostPort(ip, t.port)
			source, err := from.pick(0, addr)
			if err == nil {
				var nc net.Conn
				d := net.Dialer{Timeout: probeWithin, LocalAddr: source}
				if nc, err = d.DialContext(ctx, "tcp", addr); err == nil {
					_ = nc.Close()
				}
			}
			results[i] = err
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

// dialAddrs returns the distinct HOST:PORT to dial.
func dialAddrs(o *Options) (all []string, err error) {
	targets, err := parseTargets(o)
	for _, t := range targets {
		all = append(all, t.addrs...)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

// ipOf returns the address in HOST:PORT; the zero value for a name, or for none.
func ipOf(addr string) netip.Addr {
	host, _, _ := net.SplitHostPort(addr)
	ip, _ := netip.ParseAddr(host)
	return ip.Unmap()
}
