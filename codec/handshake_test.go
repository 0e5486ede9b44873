package codec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// sampleUpgrade is the request of RFC 6455 section 1.2, with lines replaced or, for an empty value,
// left out.
func sampleUpgrade(changes ...string) string {
	lines := []string{
		"GET /chat?room=a%20b&room=c HTTP/1.1", "Host: server.example.com", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: http://server.example.com",
		"Sec-WebSocket-Protocol: chat, superchat", "Sec-WebSocket-Version: 13",
	}
	for i := 0; i < len(changes); i += 2 {
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, changes[i]) })
		switch {
		case at < 0:
			lines = append(lines, changes[i+1])
		case changes[i+1] == "":
			lines = slices.Delete(lines, at, at+1)
		default:
			lines[at] = changes[i+1]
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func mustRead(t testing.TB, in string) *Request {
	t.Helper()
	r, n, err := ReadRequest([]byte(in))
	if err != nil || n != len(in) {
		t.Fatalf("%d bytes of %d, error %v\n%s", n, len(in), err, in)
	}
	return r
}

// RFC 6455 section 1.3.
func TestUpgradeExample(t *testing.T) {
	t.Parallel()
	ws, response, err := Upgrade(mustRead(t, sampleUpgrade()),
		&UpgradeOptions{Subprotocols: []string{"other", "superchat", "chat"}})
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
		"Sec-WebSocket-Protocol: superchat\r\n\r\n"
	if err != nil || string(response) != want || ws.Subprotocol() != "superchat" {
		t.Errorf("error %v\n%s", err, response)
	}
}

func TestUpgradeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status  int
		changes []string
	}{
		{101, nil},
		{101, []string{"Upgrade", "upgrade: h2c, WebSocket"}},
		{101, []string{"Connection", "CONNECTION:keep-alive,\tupgrade "}},
		{101, []string{"Origin", ""}},
		{101, []string{"Origin", "Origin: https://SERVER.example.com"}},
		{101, []string{"Host", "Host: server.example.com:8080", "Origin", "Origin: http://server.example.com:8080"}},
		{101, []string{"Origin", "Origin: https://friend.example.net"}},
		{101, []string{"Origin", "Origin: https://a.b.pattern.example"}},
		{403, []string{"Origin", "Origin: http://evil.example.com"}},
		{403, []string{"Origin", "Origin: http://server.example.com.evil.net"}},
		{403, []string{"Origin", "Origin: http://server.example.com@evil.net"}},
		{403, []string{"Origin", "Origin: https://evilpattern.example"}},
		{403, []string{"Origin", "Origin: null"}},
		{403, []string{"Origin", "Origin:"}},
		{403, []string{"", "Origin: http://evil.example.com"}},
		{400, []string{"Connection", "Connection: keep-alive"}},
		{400, []string{"Connection", ""}},
		{400, []string{"Sec-WebSocket-Key", ""}},
		{400, []string{"Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"}},
		{400, []string{"Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"}},
		{400, []string{"Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=!"}},
		{400, []string{"none", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}}, // two of them
		{101, []string{"none", "Content-Length: 0"}},                           // as devices send it
		{400, []string{"GET", "GET /chat HTTP/1.0"}},
		{400, []string{"none", "Sec-WebSocket-Extensions: a; b c"}},
		{426, []string{"Sec-WebSocket-Version", ""}},
		{426, []string{"Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"}},
		{426, []string{"none", "Sec-WebSocket-Version: 13"}},
		{405, []string{"GET", "HEAD /chat HTTP/1.1"}},
	}
	o := &UpgradeOptions{Origins: []string{"friend.example.net", "*.pattern.example"}}
	for _, tt := range tests {
		if len(tt.changes) > 1 && tt.changes[0] == "" { // a second Origin
			tt.changes[0] = "none"
		}
		ws, response, err := Upgrade(mustRead(t, sampleUpgrade(tt.changes...)), o)
		if !strings.HasPrefix(string(response), fmt.Sprintf("HTTP/1.1 %d ", tt.status)) ||
			(err == nil) != (tt.status == 101) || (ws == nil) != (err != nil) {
			t.Errorf("%q: error %v, want %d\n%s", tt.changes, err, tt.status, response)
		}
		if tt.status == 426 && !strings.Contains(string(response), "Sec-WebSocket-Version: 13\r\n") {
			t.Errorf("426 without the version:\n%s", response)
		}
	}
	if _, _, err := Upgrade(mustRead(t, sampleUpgrade("Origin", "Origin: null")),
		&UpgradeOptions{Origins: []string{"*"}}); err != nil {
		t.Errorf("any origin: %v", err)
	}
}

func TestReadRequest(t *testing.T) {
	t.Parallel()
	const host = "Host: a\r\n"
	tests := []struct {
		in  string
		err error
	}{
		{"GET / HTTP/1.1\r\n" + host + "\r\n", nil},
		{"HEAD /a?b HTTP/1.1\r\nhost:a\r\nContent-Length: 0\r\n\r\n", nil},
		{"GET / HTTP/1.0\r\n" + host + "\r\n", nil},
		{"GET / HTTP/1.0\r\n\r\n", nil}, // which knows no Host
		{"GET / HTTP/1.0\r\nA: b\r\n\r\n", nil},
		{"GET / HTTP/1.0\r\n" + host + host + "\r\n", ErrBadRequest},
		{"POST / HTTP/1.1\r\n" + host + "\r\n", ErrMethod},
		{"POST /", ErrMethod}, // early
		{"\x16\x03\x01", ErrBadRequest},
		{"get / HTTP/1.1\r\n" + host + "\r\n", ErrMethod},
		{"GET  / HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{"GET / HTTP/1.1 \r\n" + host + "\r\n", ErrBadRequest},
		{"GET / HTTP/2.0\r\n" + host + "\r\n", ErrBadRequest},
		{"GET http://a/ HTTP/1.1\r\n" + host + "\r\n", nil},
		{"GET http://a/ HTTP/1.1\r\n\r\n", ErrBadRequest}, // a Host header is needed all the same (RFC 9112 section 3.2)
		{"GET http:/a/ HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{"GET http:///a HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{"GET http://u@a/ HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{"GET http://a#b HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{"GET ftp://a/ HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{"GET a/ HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{"\r\nGET / HTTP/1.1\r\n" + host + "\r\n", nil},
		{"\r\n\r\n\r\nGET / HTTP/1.1\r\n" + host + "\r\n", nil},
		{"\r", nil}, // not whole
		{"\r\n", nil},
		{"\r\n\r", nil},
		{"\r\n\r\n", nil},
		{"\n", ErrBadRequest},
		{"\r\r\n", ErrBadRequest},
		{"\r\n GET / HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{strings.Repeat("\r\n", 8<<10), ErrHeadTooBig},
		{"GET /\x00 HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{"GET /\x80 HTTP/1.1\r\n" + host + "\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + host + "\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + ": b\r\n\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + "A\r\n\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + "A: b\nB: c\r\n\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + "A: \x00\r\n\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", ErrBadRequest},
		{"GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("b", 16<<10), ErrHeadTooBig},
		{"GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("b", 16<<10) + "\r\n\r\n", ErrHeadTooBig},
	}
	for _, tt := range tests {
		if r, n, err := ReadRequest([]byte(tt.in)); !errors.Is(err, tt.err) || (r == nil) != (n == 0) ||
			r != nil && n != len(tt.in) {
			t.Errorf("%.60q: error %v, want %v", tt.in, err, tt.err)
		}
	}
	whole := "\r\n" + sampleUpgrade("GET ", "GET http://other.example/chat HTTP/1.1")
	for i := range len(whole) {
		if r, n, err := ReadRequest([]byte(whole[:i])); r != nil || n != 0 || err != nil {
			t.Fatalf("%d bytes: %v, %d taken, error %v", i, r, n, err)
		}
	}
	if _, n, err := ReadRequest([]byte(whole + "\x81\x80")); n != len(whole) || err != nil {
		t.Errorf("with a frame behind: %d bytes taken, error %v", n, err)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	r := mustRead(t, sampleUpgrade("Cookie", `Cookie: a=1; b="two"`, "other", "cookie: c=3=3"))
	for _, got := range [][2]string{
		{r.Method, "GET"}, {r.Path(), "/chat"}, {r.Query("room"), "a b"}, {r.Query("x"), ""},
		{r.Header("hOST"), "server.example.com"},
		{r.Cookie("a"), "1"}, {r.Cookie("b"), "two"}, {r.Cookie("c"), "3=3"}, {r.Cookie("d"), ""},
		{r.Target, "/chat?room=a%20b&room=c"},
	} {
		if got[0] != got[1] {
			t.Errorf("%q, want %q", got[0], got[1])
		}
	}
	if all := maps.Collect(r.Headers()); len(all) != 9 || all["Host"] != "server.example.com" || all["cookie"] != "c=3=3" {
		t.Errorf("%d headers: %q", len(all), all)
	}
	if !r.IsUpgrade() || mustRead(t, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n").IsUpgrade() {
		t.Error("IsUpgrade")
	}
}

// RFC 9112 section 3.2.2: the host of an absolute target replaces the Host header, and the rest is
// the target.
func TestAbsoluteTarget(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/chat?a=b":                      "server.example.com /chat?a=b",
		"//chat?a=b":                     "server.example.com //chat?a=b",
		"/http://x/":                     "server.example.com /http://x/",
		"http://other.example/chat?a=b":  "other.example /chat?a=b",
		"ws://other.example:81/a//b/../": "other.example:81 /a//b/../",
		"WSS://OTHER.example":            "OTHER.example /",
		"https://other.example?a=/b":     "other.example /?a=/b",
		"http://[::1]:7272/":             "[::1]:7272 /",
	} {
		r := mustRead(t, sampleUpgrade("GET", "GET "+target+" HTTP/1.1"))
		if got := r.Header("Host") + " " + r.Target; got != want || r.count("Host") != 1 {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	old := mustRead(t, "GET http://other.example/ HTTP/1.0\r\n\r\n")
	if old.Header("Host") != "other.example" {
		t.Errorf("without a Host header the host is %q", old.Header("Host"))
	}
	r := mustRead(t, sampleUpgrade("GET", "GET ws://evil.example/ HTTP/1.1")) // its Origin is that of the Host header
	if _, _, err := Upgrade(r, &UpgradeOptions{}); !errors.Is(err, ErrOrigin) {
		t.Errorf("an origin that is not the target's host: %v", err)
	}
}

// RFC 7692 section 7.1.
func TestUpgradeDeflate(t *testing.T) {
	t.Parallel()
	const yes = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	d := NewDeflate()
	for offer, want := range map[string]string{
		"permessage-deflate":                                                         yes,
		"permessage-deflate; client_max_window_bits":                                 yes,
		"permessage-deflate;client_max_window_bits=8;server_no_context_takeover":     yes,
		"permessage-deflate; client_no_context_takeover":                             yes,
		"permessage-deflate; server_max_window_bits=15":                              yes + "; server_max_window_bits=15",
		`permessage-deflate; server_max_window_bits="10"`:                            yes + "; server_max_window_bits=10",
		"permessage-deflate; server_max_window_bits=8":                               yes + "; server_max_window_bits=8",
		"permessage-deflate; server_max_window_bits=16, permessage-deflate":          yes,
		"x-webkit-deflate-frame, permessage-deflate; client_max_window_bits":         yes,
		", permessage-deflate ,":                                                     yes,
		"permessage-deflate; server_max_window_bits":                                 "",
		"permessage-deflate; server_max_window_bits=7":                               "",
		"permessage-deflate; server_max_window_bits=010":                             "",
		"permessage-deflate; client_max_window_bits=0":                               "",
		"permessage-deflate; client_no_context_takeover=1":                           "",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover": "",
		"permessage-deflate; unknown":                                                "",
		"permessage-bzip2":                                                           "",
	} {
		req := mustRead(t, sampleUpgrade("none", "Sec-WebSocket-Extensions: "+offer))
		ws, response, err := Upgrade(req, &UpgradeOptions{Deflate: d})
		_, got, _ := strings.Cut(string(response), "Sec-WebSocket-Extensions: ")
		if got = strings.TrimSpace(got); err != nil || got != want || (ws.deflate != nil) != (want != "") {
			t.Errorf("%s: answered %q, error %v", offer, got, err)
		}
		if ws, _, _ := Upgrade(req, &UpgradeOptions{}); ws.deflate != nil {
			t.Errorf("%s: accepted without being wanted", offer)
		}
	}
}

func TestReadResponse(t *testing.T) {
	t.Parallel()
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	const good = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	const deflate = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"
	o := &DialOptions{Subprotocols: []string{"chat"}, Deflate: NewDeflate()}
	for in, ok := range map[string]bool{
		good: true,
		good + "Sec-WebSocket-Protocol: chat\r\n":                                 true,
		good + deflate + "\r\n":                                                   true,
		good + deflate + "; client_no_context_takeover\r\n":                       true,
		good + deflate + "; server_max_window_bits=9\r\n":                         true,
		good + deflate + "; client_max_window_bits=15\r\n":                        false, // was not offered
		good + deflate + "=1\r\n":                                                 false,
		good + deflate + "; x\r\n":                                                false,
		good + deflate + ", permessage-deflate; server_no_context_takeover\r\n":   false,
		good + "Sec-WebSocket-Extensions: permessage-deflate\r\n":                 false, // remembers
		good + "Sec-WebSocket-Extensions: other\r\n":                              false,
		good + "Sec-WebSocket-Protocol: other\r\n":                                false,
		good + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n": false,
		good + " folded\r\n":                                                      false,
		strings.Replace(good, "101", "200", 1):                                    false,
		strings.Replace(good, "101", "1010", 1):                                   false,
		strings.Replace(good, "upgrade: WebSocket", "upgrade: h2c", 1):            false,
		strings.Replace(good, "connection: Upgrade", "connection: close", 1):      false,
		strings.Replace(good, "s3pP", "S3pP", 1):                                  false,
	} {
		ws, n, err := ReadResponse([]byte(in+"\r\n\x81"), key, o)
		if (err == nil) != ok || ok && (n != len(in)+2 || ws.deflate != nil != strings.Contains(in, "deflate")) {
			t.Errorf("%d bytes of %d, error %v\n%s", n, len(in)+2, err, in)
		}
	}
	_, _, err := ReadResponse([]byte("HTTP/1.1 503 Service Unavailable\r\n\r\n"), key, o)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrRefused) {
		t.Errorf("503: %v", err)
	}
	if _, _, err := ReadResponse([]byte("HTTP/1.1 403 Forbidden\r\n\r\n"), key, o); !errors.Is(err, ErrRefused) {
		t.Errorf("403: %v", err)
	}
	if _, n, err := ReadResponse([]byte(good), key, o); n != 0 || err != nil {
		t.Errorf("not whole: %d bytes, error %v", n, err)
	}
}

// The server accepts the request of the client in this package.
func TestHandshakeWithOurselves(t *testing.T) {
	t.Parallel()
	d := NewDeflate()
	for window, deflate := range map[int]*Deflate{-1: nil, 0: d, 9: d, 15: d} {
		key, o := NewKey(), &DialOptions{Origin: "http://a:80", Subprotocols: []string{"x", "y"}, Deflate: deflate,
			Window: window, Headers: []string{"Authorization: Bearer 1", "X-Empty:"}}
		req := mustRead(t, string(AppendUpgrade(nil, "a:80", "/p?q=1", key, o)))
		if req.Header("Authorization") != "Bearer 1" || req.count("X-Empty") != 1 || req.Header("Host") != "a:80" ||
			req.Target != "/p?q=1" {
			t.Errorf("the request is not what was asked for: %+v", req)
		}
		ws, response, err := Upgrade(req, &UpgradeOptions{Subprotocols: []string{"y"}, Deflate: d})
		if err != nil {
			t.Fatal(err)
		}
		c, n, err := ReadResponse(response, key, o)
		if err != nil || n != len(response) || c.Subprotocol() != "y" || ws.Subprotocol() != "y" || c.deflate != deflate ||
			ws.deflate != deflate {
			t.Errorf("%d bytes, error %v\n%s", n, err, response)
		}
		if want := uint8(cmp.Or(window, maxWindow)); deflate != nil && ws.window != want {
			t.Errorf("a window of %d bits was asked for, and the server's is of %d", window, ws.window)
		}
	}
}

// The body of a response is the name of its status and the reason, or one of them.
func TestStatusBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code      int
		why, want string
	}{
		{403, "", "Forbidden\n"}, {403, "no", "Forbidden: no\n"}, {499, "no", "no\n"}, {499, "", "\n"},
	} {
		if _, body, _ := strings.Cut(string(Status(c.code, c.why)), "\r\n\r\n"); body != c.want {
			t.Errorf("%d %q has the body %q, want %q", c.code, c.why, body, c.want)
		}
	}
}
