package bench

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The Host header is the name as given, with the port if it is not the default of the scheme. The
// path is that of the target, or Options.Path.
func TestParseTarget(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]struct{ asked, addr, path string }{
		"127.0.0.1:80":               {"127.0.0.1", "127.0.0.1:80", "/all"},
		"127.0.0.1:9000":             {"127.0.0.1:9000", "127.0.0.1:9000", "/all"},
		":9000":                      {"localhost:9000", ":9000", "/all"},
		"[::1]:9000":                 {"[::1]:9000", "[::1]:9000", "/all"},
		"ws://Chat.example":          {"Chat.example", "Chat.example:80", "/all"},
		"ws://chat.example:80/":      {"chat.example", "chat.example:80", "/"},
		"ws://chat.example:443/a%20": {"chat.example:443", "chat.example:443", "/a%20"},
		"wss://chat.example:443?a=b": {"chat.example", "chat.example:443", "/?a=b"},
		"wss://[::1]/a//b?c=d/e?f":   {"[::1]", "[::1]:443", "/a//b?c=d/e?f"},
		"WSS://[fe80::1%25lo]:1/":    {"[fe80::1]:1", "[fe80::1%lo]:1", "/"},
	} {
		o := Options{Codec: WebSocket, Targets: []string{given}, Path: "/all"}
		if _, rest, ok := schemeOf(given); ok && strings.ContainsAny(rest, "/?") {
			o.Path = "/" // one of the two
		}
		all, err := parseTargets(&o)
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		x := all[given]
		if path := x.path.escaped(&values{}, 0); x.asked != want.asked || x.addrs[0] != want.addr || path != want.path {
			t.Errorf("%s: Host %s, path %s at %v", given, x.asked, path, x.addrs)
		}
	}
}

// Errors for missing local ports and for a missing local address say what helps.
func TestExplain(t *testing.T) {
	t.Parallel()
	failed := func(call string, errno syscall.Errno) error {
		return &net.OpError{
			Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9},
			Err: os.NewSyscallError(call, errno),
		}
	}
	x := &target{given: "tcp://peer.example:9", host: "peer.example"}
	for _, c := range []struct {
		err  error
		kind string
		want []string
	}{
		{
			failed("connect", syscall.EADDRNOTAVAIL), "ports",
			[]string{"peer.example", "127.0.0.1:9", "--source", "--target", "net.ipv4.ip_local_port_range", "TIME_WAIT"},
		},
		{failed("bind", syscall.EADDRNOTAVAIL), "dial", []string{"peer.example", "no such address"}},
		{failed("connect", syscall.ECONNREFUSED), "dial", []string{"peer.example", "refused"}},
	} {
		err := x.explain(c.err)
		for _, word := range c.want {
			if !errors.Is(err, c.err) || kindOf(err) != c.kind || !strings.Contains(err.Error(), word) {
				t.Errorf("%v: kind %s, %v", c.err, kindOf(err), err)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"127.0.0.1":                       "127.0.0.1",
		"127.0.0.254-127.0.1.1":           "127.0.0.254 127.0.0.255 127.0.1.0 127.0.1.1",
		"10.0.0.5/30,::1":                 "10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 ::1",
		"255.255.255.254/31":              "255.255.255.254 255.255.255.255",
		"255.255.255.255-255.255.255.255": "255.255.255.255",
	} {
		all, err := parseSources(strings.Split(list, ","))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range all.all {
			got = append(got, a.(*net.TCPAddr).IP.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v", list, got, err)
		}
	}
	for _, list := range []string{
		"", "x", "127.0.0.2-127.0.0.1", "127.0.0.1-::1", "10.0.0.0/15", "10.0.0.0/33", "10.0.0.0-10.1.0.0",
	} {
		if all, err := parseSources([]string{list}); err == nil {
			t.Errorf("%q: %d addresses", list, len(all.all))
		}
	}
}

// A connection has a local address of the server's address family, or there is an error.
func TestSource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from string
		i    int
		addr string
		want string
	}{
		{"127.0.0.1 ::1 127.0.0.2", 0, "127.0.0.1:80", "127.0.0.1:0"},
		{"127.0.0.1 ::1 127.0.0.2", 1, "127.0.0.1:80", "127.0.0.2:0"},
		{"127.0.0.1 ::1 127.0.0.2", 2, "127.0.0.1:80", "127.0.0.1:0"},
		{"127.0.0.1 ::1 127.0.0.2", 5, "[::1]:80", "[::1]:0"},
		{"127.0.0.1 ::1 127.0.0.2", 0, "[::ffff:127.0.0.1]:80", "127.0.0.1:0"},
		{"127.0.0.1 ::1 127.0.0.2", 1, "localhost:80", "[::1]:0"},
		{"127.0.0.1", 3, "[fe80::1%lo]:80", "none"},
		{"::1", 3, "10.0.0.1:80", "none"},
		{"", 3, "10.0.0.1:80", "any"},
	} {
		from, err := parseSources(strings.Fields(c.from))
		if err != nil {
			t.Fatal(err)
		}
		a, err := from.pick(c.i, c.addr)
		got := "any"
		switch {
		case errors.Is(err, errFamily):
			got = "none"
		case err != nil:
			t.Error(err)
		case a != nil:
			got = a.String()
		}
		if got != c.want {
			t.Errorf("connection %d to %s comes from %s, want %s", c.i, c.addr, got, c.want)
		}
	}
}

// A login that is never answered ends the run.
func TestLoginSilent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Conns: 3, Targets: []string{"tcp://" + l.Addr().String()},
		Envelope: &Envelope{Opening: []Exchange{{Send: "hello", Await: "welcome"}}},
	}
	o.defaults()
	g, err := newGenerator(o, 0, 3, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g.patience = 50 * time.Millisecond
	if err := g.open(t.Context()); !errors.Is(err, errNoAnswer) {
		t.Error(err)
	}
	if err := errors.Join(g.close(context.Background()), l.Close()); err != nil {
		t.Error(err)
	}
}

// A message with a template is made and parsed without allocations.
func TestTemplateAllocatesNothing(t *testing.T) {
	o := Options{Codec: WebSocket, Targets: []string{"127.0.0.1:1"}, Envelope: &Envelope{
		Opening: []Exchange{{Capture: []Capture{{"user", "(.*)"}}}},
		AsSent:  true,
		Out:     Framing{`{"by":"{user}","n":{seq},"text":"`, `","at":{time},"conn":{conn}}`},
		In:      Framing{`{"by":"{user}","n":{seq},"text":"`, `","at":{time},"conn":{conn}}`},
	}}
	o.defaults()
	s, err := parseScript(&o)
	if err != nil {
		t.Fatal(err)
	}
	w := &values{conn: 17, captured: []string{"ann"}}
	l := &shard{
		layout: layoutOf(o.Mode, o.inner(), o.Size), run: &generator{began: time.UnixMilli(1_700_000_000_000)}, now: 900,
	}
	message := l.layout.template()
	stamp{stream: 17, seq: 4, at: 400}.put(message)
	var p []byte
	seq := uint32(4)
	allocs := testing.AllocsPerRun(100, func() {
		p = s.before.append(p[:0], w, seq, 1_700_000_000_000)
		p = append(p, message...)
		p = s.after.append(p, w, seq, 1_700_000_000_000)
		if inner, ok := s.open(p, w, l); !ok || string(inner) != string(message) {
			t.Fatalf("%q", p)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
	for i := range p {
		if _, ok := s.open(p[:i], w, l); ok {
			t.Errorf("%q is whole", p[:i])
		}
	}
	for _, c := range []struct {
		seq uint32
		at  int64
		ok  bool
	}{{4, 1_700_000_000_000, true}, {5, 1_700_000_000_000, false}, {4, 1_700_000_000_001, false}} {
		p = s.after.append(append(s.before.append(nil, w, c.seq, c.at), message...), w, 4, c.at)
		if _, ok := s.open(p, w, l); ok != c.ok {
			t.Errorf("number %d, at %d: taken is %v: %q", c.seq, c.at, ok, p)
		}
	}
}

// Braces around anything but a name are literal.
func TestParseTemplate(t *testing.T) {
	t.Parallel()
	w := &values{conn: 3, line: "a/b +", captured: []string{"ann"}}
	for _, c := range [][2]string{
		{"", ""}, {"x", "x"}, {"{conn}", "3"}, {`{"a":{"b":{}}}`, `{"a":{"b":{}}}`}, {"{{conn}}", "{3}"},
		{"{user}{line}", "anna/b +"}, {"{ conn }{1}{", "{ conn }{1}{"}, {"{time}", "7"},
	} {
		p, err := parseTemplate(c[0], atHandshake, []string{"user"})
		if err != nil || string(p.append(nil, w, 0, 7)) != c[1] {
			t.Errorf("%s is %s, %v", c[0], p.append(nil, w, 0, 7), err)
		}
	}
	p, err := parseTemplate("/{line}?{conn}", atHandshake, nil)
	if err != nil || p.escaped(w, 0) != "/a%2Fb%20%2B?3" {
		t.Errorf("%s, %v", p.escaped(w, 0), err)
	}
	if _, err := parseTemplate("{user}{seq}", atHandshake, []string{"user"}); err == nil {
		t.Error("{seq} means nothing at the handshake")
	}
}

// Unanswered messages are kept in order, in no more memory than the most at a time.
func TestWaiting(t *testing.T) {
	t.Parallel()
	c := &client{}
	for i := range int64(100_000) {
		c.await(i)
		if i >= 8 {
			if w := &c.waiting; w.at[w.first] != i-8 {
				t.Fatalf("%d is the oldest, and not %d", w.at[w.first], i-8)
			}
			c.waiting.first++
		}
	}
	if n := cap(c.waiting.at); n > 64 {
		t.Errorf("room for %d, and 9 wait at most", n)
	}
}
