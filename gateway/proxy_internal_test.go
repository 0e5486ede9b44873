package gateway

import (
	"net/netip"
	"testing"

	"github.com/seed-7410fe32/sluice/codec"
)

// The client is the last address that is not a trusted proxy's, in whichever field it stands.
func TestClientOfProxies(t *testing.T) {
	t.Parallel()
	trusted, err := newProxies([]string{"10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := ListenerConfig{URL: "ws://127.0.0.1:0"}
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	l := &listener{ListenerConfig: cfg, proxies: trusted}
	peer := netip.MustParseAddrPort("10.0.0.1:4711")
	const invalid = "invalid"
	for _, c := range []struct{ fields, client string }{
		{"", peer.String()},
		{"X-Forwarded-For: 203.0.113.9", "203.0.113.9:0"},
		{"x-forwarded-for: 203.0.113.9:123", "203.0.113.9:123"},
		{"X-Forwarded-For: 198.51.100.1, 203.0.113.9", "203.0.113.9:0"},
		{"X-Forwarded-For: garbage, 203.0.113.9", "203.0.113.9:0"},
		{"X-Forwarded-For: 203.0.113.9,10.1.2.3 , 192.0.2.1", "203.0.113.9:0"},
		{"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.1.2.3", "203.0.113.9:0"},
		{"X-Forwarded-For: 203.0.113.9\r\nVia: a\r\nX-Forwarded-For: 203.0.113.10", "203.0.113.10:0"},
		{"X-Forwarded-For: 10.1.2.3, 10.4.5.6", "10.1.2.3:0"}, // nothing but proxies
		{"X-Forwarded-For: 2001:db8::7", "[2001:db8::7]:0"},
		{"X-Forwarded-For: 2001:db8::7, [2001:db8:ffff::1]:80", "[2001:db8::7]:0"},
		{"X-Forwarded-For: [2001:db8::7]", "[2001:db8::7]:0"},
		{"X-Forwarded-For: ::ffff:203.0.113.9", "203.0.113.9:0"},
		{"X-Forwarded-For: ::ffff:10.1.1.1", "10.1.1.1:0"},
		{"X-Forwarded-For: unknown", invalid},
		{"X-Forwarded-For: ", invalid},
		{"X-Forwarded-For: 203.0.113.9, ", invalid},
		{"X-Forwarded-For: fe80::1%eth0", invalid},
		{"X-Forwarded-For: 203.0.113.999", invalid},
		{"Forwarded: for=203.0.113.9", "203.0.113.9:0"},
		{"Forwarded: for=198.51.100.1, For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9:0"},
		{`Forwarded: proto=https; for="[2001:db8::7]:4711"`, "[2001:db8::7]:4711"},
		{`Forwarded: for="203.0.113.9:_hidden"`, "203.0.113.9:0"},
		{`Forwarded: host="a,b;for=198.51.100.1\"";for=203.0.113.9`, "203.0.113.9:0"},
		{`Forwarded: for="198.51.100.1, for=203.0.113.9`, invalid}, // the quotation has no end
		{`Forwarded: for=203.0.113.9, host="a;for=198.51.100.1"`, invalid},
		{"Forwarded: for=unknown", invalid},
		{"Forwarded: for=_obfuscated", invalid},
		{"Forwarded: by=10.0.0.1", invalid},
		{"X-Real-IP: 203.0.113.9", "203.0.113.9:0"},
		{"X-Real-IP: 203.0.113.9\r\nForwarded: for=198.51.100.1", "198.51.100.1:0"},
		{"X-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.1", "198.51.100.1:0"},
		{"Forwarded: for=203.0.113.9\r\nX-Forwarded-For: 198.51.100.1", "198.51.100.1:0"},
	} {
		head := "GET / HTTP/1.1\r\nHost: h\r\n" + c.fields
		if c.fields != "" {
			head += "\r\n"
		}
		req, _, err := codec.ReadRequest([]byte(head + "\r\n"))
		if err != nil {
			t.Fatalf("%s: %v", c.fields, err)
		}
		client, ok := l.proxies.client(peer, l.hops(req))
		if got := client.String(); ok && got != c.client || !ok && (c.client != invalid || client != peer) {
			t.Errorf("%s: %s, %v; want %s", c.fields, got, ok, c.client)
		}
	}
	client, ok := trusted.client(peer, []string{"203.0.113.9", "bad", "10.1.1.1"})
	if client.String() != "10.1.1.1:0" || ok {
		t.Errorf("the hop after an invalid one: %v, %v", client, ok)
	}
}

// Whatever a field has, it gives an address or none.
func FuzzForwarded(f *testing.F) {
	f.Add(`for=192.0.2.43, for="[2001:db8:cafe::17]:4711";proto=http;by="\"a"`)
	f.Fuzz(func(t *testing.T, field string) {
		hops := forwardedHops(field)
		if len(hops) == 0 {
			t.Error("no hop")
		}
		for _, hop := range hops {
			if a, ok := hopAddr(hop); ok && (!a.IsValid() || a.Addr().Is4In6() || a.Addr().Zone() != "") {
				t.Errorf("%q: %v", hop, a)
			}
		}
	})
}
