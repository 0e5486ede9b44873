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

// The answer to a plain request is what HTTP has for its status and method: a body, and a length of it, only where there may be one (RFC 9110 sections 6.4.1, 8.6, 9.3.2 and 15.2).
func TestPagesAsHTTPHasThem(t *testing.T) {
	t.Parallel()
	page := http.NewServeMux()
	page.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		if length := r.URL.Query().Get("length"); length != "" {
			w.Header().Set("Content-Length", length)
		}
		w.WriteHeader(code)
		if body := r.URL.Query().Get("body"); body != "" {
			if _, err := io.WriteString(w, body); err != nil {
				w.Header().Set("X-Error", err.Error())
			}
		}
	})
	page.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "page")
	})
	page.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		_, _ = io.WriteString(w, "page")
	})
	page.HandleFunc("/host", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.Host, len(r.Header["Host"])) })
	page.HandleFunc("/none", func(http.ResponseWriter, *http.Request) {})
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0/ws", Page: page}, {URL: "ws://127.0.0.1:0"}}})
	for _, c := range []struct {
		listener                     int
		request, status, length, say string // length "-": no such field
	}{
		{0, "GET /status/200?body=hello", "200 OK", "5", "hello"},
		{0, "HEAD /status/200?body=hello", "200 OK", "5", ""},
		{0, "GET /status/200?body=hello&length=9", "200 OK", "5", "hello"},
		{0, "GET /none", "200 OK", "0", ""},
		{0, "HEAD /none", "200 OK", "-", ""}, // what GET has is not known
		{0, "HEAD /status/200?length=9", "200 OK", "9", ""},
		{0, "GET /status/204", "204 No Content", "-", ""},
		{0, "GET /status/204?body=hello&length=5", "204 No Content", "-", ""},
		{0, "GET /status/304", "304 Not Modified", "-", ""},
		{0, "GET /status/304?body=hello&length=5", "304 Not Modified", "5", ""},
		{0, "HEAD /status/304", "304 Not Modified", "-", ""},
		{0, "GET /status/404?body=no", "404 Not Found", "2", "no"},
		{0, "GET /status/103?body=hello", "200 OK", "5", "hello"},
		{0, "GET /status/100", "200 OK", "0", ""},
		{0, "GET /status/99", "500 Internal Server Error", "0", ""},
		{0, "GET /status/1000", "500 Internal Server Error", "0", ""},
		{0, "GET /hints", "202 Accepted", "4", "page"},
		{0, "GET /chunked", "200 OK", "4", "page"},
		{0, "GET /host", "200 OK", "10", "localhost0"},
		{0, "GET http://127.1.2.3/host", "200 OK", "10", "127.1.2.30"},
		{0, "HEAD /nothing", "404 Not Found", "19", ""},
		{1, "HEAD /", "426 Upgrade Required", "50", ""},
		{1, "GET /", "426 Upgrade Required", "50", "Upgrade Required: only WebSockets are served here\n"},
	} {
		conn := dial(t, hostport(g.Addrs()[c.listener]))
		_ = conn.SetDeadline(time.Now().Add(patience))
		host := "localhost"
		if strings.Contains(c.request, "://") {
			host = "elsewhere.example"
		}
		_, _ = io.WriteString(conn, c.request+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		answer, err := readAll(conn)
		head, body, whole := strings.Cut(answer, "\r\n\r\n")
		length := "-"
		for line := range strings.SplitSeq(head, "\r\n") {
			if name, value, _ := strings.Cut(line, ": "); name == "Content-Length" {
				length = value
			}
		}
		if err != nil || !whole || !strings.HasPrefix(head, "HTTP/1.1 "+c.status+"\r\n") || length != c.length || body != c.say || strings.Contains(head, "chunked") || strings.Contains(body, "HTTP/1.1") {
			t.Errorf("%s is answered %q, %v", c.request, answer, err)
		}
	}
}
