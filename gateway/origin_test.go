package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
)

// request sends a request by hand and returns the status of the response.
func request(t *testing.T, url, target string, upgrade bool, headers ...string) string {
	t.Helper()
	head := "GET " + target + " HTTP/1.1\r\n"
	if upgrade {
		head += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	}
	return ask(t, url, head+strings.Join(headers, "\r\n")+"\r\n\r\n")
}

// ask sends bytes and returns the status of the response.
func ask(t *testing.T, url, head string) string {
	t.Helper()
	conn := dial(t, hostport(url))
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte(head)); err != nil {
		t.Fatal(err)
	}
	var status [12]byte
	if _, err := io.ReadFull(conn, status[:]); err != nil {
		t.Fatal(err)
	}
	return string(status[9:])
}

// A page that reached the gateway by a foreign host name is not served and opens no WebSocket: by
// default on a loopback address, elsewhere if Hosts are set.
func TestForeignNamesAreRefused(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a page") })
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{
		{URL: "ws://127.0.0.1:0", Page: page},
		{URL: "ws://127.0.0.1:0", Page: page, Hosts: []string{"chat.example"}, Origins: []string{"friend.example"}},
		{URL: "ws://0.0.0.0:0", Page: page}, // reached by 127.0.0.1 here: the address it is bound to counts
		{URL: "ws://0.0.0.0:0", Page: page, Hosts: []string{"chat.example"}},
	}})
	for i, url := range g.Addrs() {
		_, port, _ := strings.Cut(hostport(url), ":")
		url = "ws://127.0.0.1:" + port
		for _, c := range []struct {
			host, origin string
			open         string // for each listener: whether the WebSocket opens
			page         string // whether the page is served
		}{
			{"localhost:" + port, "http://localhost:" + port, "++++", "++++"},
			{"127.0.0.1:" + port, "http://127.0.0.1:" + port, "++++", "++++"},
			{"evil.example:" + port, "http://evil.example:" + port, "--+-", "--+-"},
			{"chat.example", "https://chat.example", "-+++", "-+++"},
			{"chat.example", "https://friend.example", "-+--", "-+++"},
			{"friend.example", "https://friend.example", "-++-", "-++-"},
			{"evil.example", "", "++++", "--+-"},
		} {
			for _, w := range []struct {
				upgrade     bool
				want        byte
				yes, no, as string
			}{{true, c.open[i], "101", "403", "a WebSocket"}, {false, c.page[i], "200", "421", "a page"}} {
				headers := []string{"Host: " + c.host}
				if c.origin != "" {
					headers = append(headers, "Origin: "+c.origin)
				}
				want := map[byte]string{'+': w.yes, '-': w.no}[w.want]
				if got := request(t, url, "/", w.upgrade, headers...); got != want {
					t.Errorf("listener %d, Host %s, Origin %q: %s is answered %s, want %s", i, c.host, c.origin, w.as, got, want)
				}
			}
		}
	}
}

// The log has a rejected origin and how to allow it. It stays short and well-formed, however many
// origins come and whatever they contain.
func TestARefusedOriginIsLogged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		host, origin string
		upgrade      bool
		want         []string
	}{
		{"chat.example", "https://chat.example", true,
			[]string{"origin=https://chat.example", "host=chat.example",
				`fix="allow it with --origin chat.example (ListenerConfig.Origins)"`}},
		{"localhost", "https://app.example:8443", true, []string{`"allow it with --origin app.example:8443 (`}},
		{"localhost", "null", true, []string{"origin=null", "it has no valid host", `--origin \"*\"`}},
		{"localhost", "http://$(reboot)", true, []string{"origin=http://$(reboot)", "it has no valid host"}},
		{"localhost", "http://" + strings.Repeat("x", 5000) + ".example", true, []string{"it has no valid host"}},
		{"localhost", "https://a.example\r\nOrigin: https://b.example", true, []string{"a browser sends one Origin"}},
		{"chat.example:80", "", false, []string{"host=chat.example:80",
			`fix="allow it with --host chat.example (ListenerConfig.Hosts)"`}},
	} {
		var log logbook
		g, stop := start(t, gateway.Config{Logger: log.logger(),
			Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0", Page: http.NotFoundHandler()}}})
		const times = 30
		for range times {
			headers := []string{"Host: " + c.host}
			if c.origin != "" {
				headers = append(headers, "Origin: "+c.origin)
			}
			if got := request(t, g.Addrs()[0], "/", c.upgrade, headers...); got != "403" && got != "421" {
				t.Fatalf("%+v is answered %s", c, got)
			}
		}
		wait(t, "all counted", func() bool {
			s := g.Stats()
			return s.OriginsRejected == times && s.HandshakesRejected == times
		})
		stop()
		lines := 0
		for _, line := range log.lines() {
			if !strings.Contains(line, " rejected: ") {
				continue
			}
			lines++
			if len(line) > 1000 {
				t.Errorf("a line of %d bytes", len(line))
			}
			for _, want := range c.want {
				if !strings.Contains(line, want) {
					t.Errorf("%s\nlacks %s", line, want)
				}
			}
		}
		if lines == 0 || lines > times/2 {
			t.Errorf("%+v: %d lines for %d refusals", c, lines, times)
		}
		if last := strings.Join(log.lines(), "\n"); !strings.Contains(last, fmt.Sprintf("origins-rejected=%d", times)) {
			t.Errorf("the number is not told: %s", last)
		}
	}
}
