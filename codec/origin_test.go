package codec

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// The pages that may open a WebSocket: by Origin and Host, on a loopback address and elsewhere,
// with and without Hosts and Origins.
func TestOrigins(t *testing.T) {
	t.Parallel()
	loopback := UpgradeOptions{Loopback: true}
	proxied := UpgradeOptions{Loopback: true, Hosts: []string{"chat.example"}}
	listed := UpgradeOptions{Loopback: true, Origins: []string{"https://chat.example", "*.Friends.example",
		"app.example:8443", "[2001:db8::1]"}}
	anywhere := UpgradeOptions{}
	named := UpgradeOptions{Hosts: []string{"chat.example", "*.chat.example", "10.0.0.5:7272"}}
	written := UpgradeOptions{Origins: []string{"HTTPS://App.Example/", "port.example:443"}} // as a browser shows it
	everybody := UpgradeOptions{Loopback: true, Origins: []string{"*"}}
	for _, tt := range []struct {
		o            *UpgradeOptions
		host, origin string
		allowed      bool
	}{
		{&loopback, "127.0.0.1:7272", "http://127.0.0.1:7272", true},
		{&loopback, "127.0.0.1", "http://127.0.0.1", true},
		{&loopback, "127.8.9.10:7272", "http://127.8.9.10:7272", true},
		{&loopback, "[::1]:7272", "http://[::1]:7272", true},
		{&loopback, "[::1]", "https://[::1]", true},
		{&loopback, "[::ffff:127.0.0.1]:7272", "http://[::ffff:127.0.0.1]:7272", true},
		{&loopback, "localhost:7272", "http://localhost:7272", true},
		{&loopback, "localhost:7272", "https://localhost:7272", true}, // TLS ended in front
		{&loopback, "LocalHost:7272", "http://LOCALHOST:7272", true},
		{&loopback, "localhost.:7272", "http://localhost.:7272", true},
		{&loopback, "chat.localhost:7272", "http://chat.localhost:7272", true},
		{&loopback, "localhost:7272", "http://localhost:3000", false}, // a page of another server of this machine
		{&loopback, "localhost:7272", "http://127.0.0.1:7272", false},
		{&loopback, "evil.example", "http://evil.example", false},
		{&loopback, "evil.example:7272", "http://evil.example:7272", false},
		{&loopback, "localhost.evil.example:7272", "http://localhost.evil.example:7272", false},
		{&loopback, "notlocalhost:7272", "http://notlocalhost:7272", false},
		{&loopback, "127.0.0.1.evil.example", "http://127.0.0.1.evil.example", false},
		{&loopback, "127.0.0.1@evil.example", "http://127.0.0.1@evil.example", false},
		{&loopback, "evil.example", "http://evil.example@127.0.0.1", false},
		{&loopback, "[::1%25lo]:7272", "http://[::1%25lo]:7272", false},
		{&loopback, "[fe80::1%25eth0]:7272", "http://[fe80::1%25eth0]:7272", false},
		{&loopback, "0.0.0.0:7272", "http://0.0.0.0:7272", false},
		{&loopback, "10.0.0.5:7272", "http://10.0.0.5:7272", false},
		{&loopback, "localhost:7272", "null", false},
		{&loopback, "null", "null", false},
		{&loopback, "localhost:7272", "http://", false},
		{&loopback, "chat.example", "https://chat.example", false},
		{&loopback, "evil.example", "", true}, // no browser

		{&proxied, "chat.example", "https://chat.example", true},
		{&proxied, "chat.example:8443", "https://chat.example:8443", true},
		{&proxied, "chat.example.", "https://chat.example.", true},
		{&proxied, "localhost:7272", "http://localhost:7272", true},
		{&proxied, "localhost:7272", "https://chat.example", false}, // a page elsewhere: that is for Origins
		{&proxied, "www.chat.example", "https://www.chat.example", false},
		{&proxied, "evil.example", "http://evil.example", false},

		{&listed, "127.0.0.1:7272", "https://chat.example", true},
		{&listed, "chat.example", "https://CHAT.example", true},
		{&listed, "127.0.0.1:7272", "http://chat.example", false},
		{&listed, "127.0.0.1:7272", "https://a.b.friends.EXAMPLE:1234", true},
		{&listed, "127.0.0.1:7272", "https://friends.example", false},
		{&listed, "127.0.0.1:7272", "https://evilfriends.example", false},
		{&listed, "127.0.0.1:7272", "https://app.example:8443", true},
		{&listed, "127.0.0.1:7272", "https://app.example", false},
		{&listed, "127.0.0.1:7272", "http://[2001:db8::1]:80", true},
		{&listed, "127.0.0.1:7272", "null", false},

		{&anywhere, "chat.example", "https://chat.example", true},
		{&anywhere, "evil.example", "http://evil.example", true}, // which is why there are Hosts
		{&anywhere, "chat.example", "http://evil.example", false},
		{&anywhere, "chat.example:443", "https://chat.example", true}, // a port that the scheme has anyway
		{&anywhere, "chat.example", "https://chat.example:443", true},
		{&anywhere, "chat.example:80", "http://chat.example", true},
		{&anywhere, "[2001:db8::1]:443", "https://[2001:db8::1]", true},
		{&anywhere, "CHAT.example:443", "HTTPS://chat.EXAMPLE", true},
		{&anywhere, "chat.example:80", "https://chat.example", false},
		{&anywhere, "chat.example:443", "http://chat.example", false},
		{&anywhere, "chat.example:8443", "https://chat.example", false},
		{&anywhere, "chat.example:443", "app://chat.example", false}, // a scheme of which no port is known
		{&anywhere, "chat.example", "https://chat.example:8443", false},

		{&named, "chat.example", "https://chat.example", true},
		{&named, "eu.chat.example:7272", "https://eu.chat.example:7272", true},
		{&named, "10.0.0.5:7272", "http://10.0.0.5:7272", true},
		{&named, "10.0.0.5", "http://10.0.0.5", false},
		{&named, "localhost:7272", "http://localhost:7272", true},
		{&named, "evil.example", "http://evil.example", false},
		{&named, "chat.example.evil.example", "http://chat.example.evil.example", false},

		{&written, "10.0.0.5:7272", "https://app.example", true},
		{&written, "10.0.0.5:7272", "https://app.example:443", true},
		{&written, "10.0.0.5:7272", "http://app.example", false},
		{&written, "10.0.0.5:7272", "https://port.example", true},
		{&written, "10.0.0.5:7272", "http://port.example", false},
		{&written, "10.0.0.5:7272", "https://port.example:444", false},

		{&everybody, "evil.example", "http://evil.example", true},
		{&everybody, "evil.example", "null", true},
	} {
		changes := []string{"Host", "Host: " + tt.host, "Origin", ""}
		if tt.origin != "" {
			changes[3] = "Origin: " + tt.origin
		}
		_, _, err := Upgrade(mustRead(t, sampleUpgrade(changes...)), tt.o)
		if (err == nil) != tt.allowed {
			t.Errorf("%+v: Host %s, Origin %s: %v", *tt.o, tt.host, tt.origin, err)
		}
	}
}

// The names under which a server accepts its own pages.
func TestServes(t *testing.T) {
	t.Parallel()
	loopback := UpgradeOptions{Loopback: true, Hosts: []string{"chat.example:443"},
		Origins: []string{"https://page.example"}}
	for host, want := range map[string]bool{
		"localhost": true, "[::1]:1": true, "::1": true, "127.0.0.1:80": true, "page.example:8080": true,
		"chat.example:443": true,
		"chat.example":     true, // of https, whose port a browser does not name
		"chat.example:80":  false, "": false, ":80": false, "evil@localhost": false, "localhost:80:80": false, "[::1": true,
		"evil.example": false,
	} {
		if got := loopback.Serves(host); got != want {
			t.Errorf("Serves(%q) is %v", host, got)
		}
	}
	if o := (UpgradeOptions{Hosts: []string{"chat.example:8443"}}); o.Serves("chat.example") {
		t.Error("a port that has to be named is taken for one that has not")
	}
	if o := (UpgradeOptions{}); !o.Serves("evil.example") || !o.Serves("") {
		t.Error("with nothing set any name is the server's")
	}
}

// A refusal's body gives the reason, and quotes no more of the request than fits on a screen.
func TestRefusalsSayWhy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		o       UpgradeOptions
		changes []string
		want    string
	}{
		{UpgradeOptions{}, []string{"Origin", "Origin: https://evil.example"},
			`Forbidden: origin not allowed: "https://evil.example" is neither the origin of the requested host ` +
				`"server.example.com" nor an allowed one`},
		{UpgradeOptions{Loopback: true}, nil,
			`Forbidden: origin not allowed: the page was requested by the host name "server.example.com"`},
		{UpgradeOptions{}, []string{"none", "Origin: http://a"},
			"Forbidden: origin not allowed: the request has several Origin headers"},
		{UpgradeOptions{}, []string{"Sec-WebSocket-Key", ""}, "Bad Request: invalid Sec-WebSocket-Key header\n"},
		{UpgradeOptions{}, []string{"Origin", "Origin: https://" + strings.Repeat("\xc3\xa9", 4000)},
			"Forbidden: origin not allowed: "},
	} {
		_, response, err := Upgrade(mustRead(t, sampleUpgrade(tt.changes...)), &tt.o)
		head, body, _ := strings.Cut(string(response), "\r\n\r\n")
		if err == nil || !strings.HasPrefix(body, tt.want) || len(body) > 1100 || !utf8.ValidString(body) ||
			!strings.Contains(head, fmt.Sprintf("Content-Length: %d\r\n", len(body))) {
			t.Errorf("%q is answered %q", tt.changes, response)
		}
	}
}
