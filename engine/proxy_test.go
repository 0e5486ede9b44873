package engine

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

var errTestHeader = errors.New("bad header")

// readTestHeader reads headers of the form <ADDR:PORT>. <> names no client.
func readTestHeader(in []byte) (client netip.AddrPort, n int, err error) {
	end := bytes.IndexByte(in, '>')
	switch {
	case in[0] != '<':
		return client, 0, ErrNoProxyHeader
	case end < 0:
		return client, 0, nil
	case end == 1:
		return client, 2, nil
	}
	if client, err = netip.ParseAddrPort(string(in[1:end])); err != nil {
		return client, 0, errTestHeader
	}
	return client, end + 1, nil
}

// reports are what a listener reports of proxies.
type reports chan error

// proxied is a listener behind proxies. Its conns first write their address.
func proxied(t *testing.T, trusts bool, o ListenOptions) (*Listener, reports) {
	t.Helper()
	e := start(t, Config{})
	seen := make(reports, 100)
	if o.Proxy == nil {
		o.Proxy = &ProxyOptions{Timeout: time.Hour}
	}
	o.Proxy.Trusts = func(a netip.Addr) bool { return trusts && a.IsLoopback() }
	o.Proxy.ReadHeader = readTestHeader
	o.Proxy.Report = func(_ netip.AddrPort, err error) { seen <- err }
	return serve(t, e, funcs{data: echo, open: func(c *Conn) {
		_ = c.Write([]byte(c.RemoteAddr().Addr().String() + "\n"))
	}}, o), seen
}

// said is what comes back for bytes, until the connection ends or has brought as many bytes as
// want.
func said(t *testing.T, ln *Listener, want string, pieces ...string) string {
	t.Helper()
	nc := dial(t, ln)
	defer nc.Close()
	_ = nc.(*net.TCPConn).SetNoDelay(true)
	for _, p := range pieces {
		if _, err := io.WriteString(nc, p); err != nil {
			break // it was refused
		}
	}
	b := make([]byte, max(len(want), 1))
	n, _ := io.ReadFull(nc, b)
	return string(b[:n])
}

// The header of a trusted proxy gives the address, wherever it is split and whatever comes with it.
func TestProxyHeader(t *testing.T) {
	t.Parallel()
	ln, _ := proxied(t, true, ListenOptions{})
	for name, c := range map[string]struct{ in, want string }{
		"IPv4":     {"<203.0.113.9:7>hello", "203.0.113.9\nhello"},
		"IPv6":     {"<[2001:db8::7]:7>hello", "2001:db8::7\nhello"},
		"mapped":   {"<[::ffff:203.0.113.9]:7>hello", "203.0.113.9\nhello"},
		"alone":    {"<203.0.113.9:7>", "203.0.113.9\n"},
		"of none":  {"<>hello", "127.0.0.1\nhello"},
		"twice":    {"<203.0.113.9:7><>", "203.0.113.9\n<>"},
		"optional": {"hello", "127.0.0.1\nhello"},
	} {
		if got := said(t, ln, c.want, c.in); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
		for i := range len(c.in) {
			if got := said(t, ln, c.want, c.in[:i], c.in[i:]); got != c.want {
				t.Errorf("%s, split at %d: %q", name, i, got)
			}
		}
	}
	if s := ln.Stats(); s.ProxyHeaders == 0 || s.ProxyHeadersInvalid+s.ProxyHeadersIgnored > 0 {
		t.Errorf("%+v", s)
	}
	eventually(t, "none is left", func() bool { return ln.Stats().Conns == 0 })
}

// An invalid header ends the connection, and its Handler does not know of it.
func TestProxyHeaderInvalid(t *testing.T) {
	t.Parallel()
	ln, seen := proxied(t, true, ListenOptions{})
	if got := said(t, ln, "", "<nowhere>hello"); got != "" {
		t.Errorf("%q", got)
	}
	if err := receive(t, seen); !errors.Is(err, ErrProxyHeader) || !errors.Is(err, errTestHeader) {
		t.Error(err)
	}
	if s := ln.Stats(); s.ProxyHeadersInvalid != 1 || s.ProxyHeaders != 0 {
		t.Errorf("%+v", s)
	}
}

// A header of another peer is skipped.
func TestProxyHeaderOfStranger(t *testing.T) {
	t.Parallel()
	ln, seen := proxied(t, false, ListenOptions{})
	for in, want := range map[string]string{
		"<203.0.113.9:7>hello": "127.0.0.1\nhello", "hello": "127.0.0.1\nhello", "<nowhere>": "127.0.0.1\n<nowhere>",
		"<203": "127.0.0.1\n<203",
	} {
		if got := said(t, ln, want, in); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	if err := receive(t, seen); !errors.Is(err, ErrUntrustedProxy) {
		t.Error(err)
	}
	if s := ln.Stats(); s.ProxyHeadersIgnored != 1 || s.ProxyHeaders != 0 {
		t.Errorf("%+v", s)
	}
}

// Where a header is required, a trusted proxy without one is closed, and so is everybody else.
func TestProxyHeaderRequired(t *testing.T) {
	t.Parallel()
	for _, trusts := range []bool{true, false} {
		ln, seen := proxied(t, trusts, ListenOptions{Proxy: &ProxyOptions{Required: true, Timeout: 10 * time.Millisecond}})
		want, count := ErrProxyHeader, func(s ListenerStats) uint64 { return s.ProxyHeadersInvalid }
		if !trusts {
			want, count = ErrUntrustedProxy, func(s ListenerStats) uint64 { return s.ProxiesUntrusted }
		}
		for i, in := range []string{"hello", "", "<203"} { // of another kind, none, not whole
			if got := said(t, ln, "", in); got != "" {
				t.Errorf("%q: %q", in, got)
			}
			if err := receive(t, seen); !errors.Is(err, want) {
				t.Errorf("%q: %v", in, err)
			}
			if n := count(ln.Stats()); n != uint64(i+1) {
				t.Errorf("%q: counted %d times", in, n)
			}
		}
	}
}

// A peer that sends nothing has no header after a while. It may get something before it sends.
func TestProxyHeaderTimeout(t *testing.T) {
	t.Parallel()
	ln, seen := proxied(t, true, ListenOptions{Proxy: &ProxyOptions{Timeout: 10 * time.Millisecond}})
	if got := said(t, ln, "127.0.0.1\n"); got != "127.0.0.1\n" {
		t.Errorf("%q", got)
	}
	if got := said(t, ln, "", "<203"); got != "" {
		t.Errorf("%q", got)
	}
	if err := receive(t, seen); !errors.Is(err, ErrProxyHeader) {
		t.Error(err)
	}
}

// Limits per address are about the client, by its /64, and not about a trusted proxy.
func TestProxyLimits(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]ListenOptions{"MaxPerIP": {MaxPerIP: 2}, "ConnectRate": {ConnectRate: 1}} {
		ln, _ := proxied(t, true, o)
		open := func(header string) bool {
			nc := dial(t, ln)
			_, _ = io.WriteString(nc, header)
			b := make([]byte, 1)
			n, _ := nc.Read(b)
			return n == 1
		}
		for i, address := range []string{"203.0.113.9", "[2001:db8::%d]"} {
			for n := range 3 {
				header := "<" + address + ":7>"
				if i == 1 {
					header = "<[2001:db8::" + string(rune('1'+n)) + "]:7>" // of one network
				}
				// A rate allows twice as many at once, and some more while the test runs.
				if ok := open(header); ok != (n < 2) && (name == "MaxPerIP" || n < 2) {
					t.Errorf("%s: connection %d of %s: %v", name, n, address, ok)
				}
			}
		}
		for range 10 {
			if !open("<>") || !open("<127.0.0.1:7>") {
				t.Fatalf("%s: the proxy itself is limited", name)
			}
		}
		if name == "ConnectRate" {
			eventually(t, "it is refused", func() bool { return !open("<203.0.113.9:7>") && ln.Stats().OverRate > 0 })
		} else if s := ln.Stats(); s.OverMaxPerIP != 2 {
			t.Errorf("%+v", s)
		}
	}
}

// A client that has gone leaves its place, also after SetRemote.
func TestSetRemote(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	trusts := func(a netip.Addr) bool { return a.IsLoopback() }
	o := ListenOptions{MaxPerIP: 1, Proxy: &ProxyOptions{Trusts: trusts, ReadHeader: readTestHeader, Timeout: time.Hour,
		Report: func(netip.AddrPort, error) {}}}
	ln := serve(t, e, funcs{data: func(c *Conn, in []byte) int {
		if !c.SetRemote(netip.MustParseAddrPort(string(in))) {
			c.Close(ErrAddressLimit)
			return len(in)
		}
		_ = c.Write([]byte(c.Origin().String()))
		return len(in)
	}}, o)
	ask := func(nc net.Conn, address, want string) bool {
		_, _ = io.WriteString(nc, address)
		b := make([]byte, len(want))
		_, err := io.ReadFull(nc, b)
		return err == nil && string(b) == want
	}
	first := dial(t, ln)
	if !ask(first, "203.0.113.9:7", "203.0.113.9") || ask(dial(t, ln), "203.0.113.9:8", "203.0.113.9") {
		t.Error("not exactly one of the address is let in")
	}
	if !ask(first, "[2001:db8::1]:7", "2001:db8::") { // the other address is free
		t.Error("it may not change its address")
	}
	if !ask(dial(t, ln), "203.0.113.9:7", "203.0.113.9") || ask(dial(t, ln), "[2001:db8::2]:7", "2001:db8::") {
		t.Error("the places of the two addresses are wrong")
	}
	_ = first.Close()
	eventually(t, "the place is free", func() bool { return ask(dial(t, ln), "[2001:db8::2]:7", "2001:db8::") })
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if len(ln.perIP) > 2 {
		t.Errorf("%v", ln.perIP)
	}
}
