package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// away is an address of this machine that is not that of its proxies.
const away = "127.0.0.2"

// startTellingProxies puts HAProxy in front of a gateway, once for each of the options of its
// server line, and returns where clients come to. Each passes on TCP as it is.
func startTellingProxies(t *testing.T, to string, options ...string) (addrs []string) {
	t.Helper()
	haproxy := need(t, "haproxy", "/usr/sbin/haproxy")
	var config strings.Builder
	config.WriteString("defaults\n\tmode tcp\n\ttimeout connect 10s\n\ttimeout client 1m\n\ttimeout server 1m\n")
	var sockets []*os.File
	for i, option := range options {
		addr, socket := listening(t)
		addrs, sockets = append(addrs, addr), append(sockets, socket)
		fmt.Fprintf(&config, "listen l%d\n\tbind fd@%d\n\tserver gateway %s %s\n", i, 3+i, to, option)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	startServerOf(t, file, config.String(), nil, sockets, haproxy, "-db", "-f", file)
	return addrs
}

// proxyHeaders are options of HAProxy that make it name its client.
var proxyHeaders = []string{"send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,authority,unique-id"}

// askWhere opens a WebSocket from away, and returns the address that its worker sees.
func askWhere(t *testing.T, addr string, fields http.Header) string {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(away)}}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	ws, _, err := websocket.Dial(t.Context(), "ws://"+addr, &websocket.DialOptions{HTTPClient: client, HTTPHeader: fields})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("where am I?")); err != nil {
		t.Fatal(err)
	}
	_, b, err := ws.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Behind nginx and HAProxy, with the PROXY protocol and with header fields, workers see the address
// of the client, and none that the client makes up.
func TestProxiesNameTheirClients(t *testing.T) {
	t.Parallel()
	if ln, err := net.Listen("tcp", away+":0"); err != nil {
		missing(t, "second loopback address")
	} else {
		_ = ln.Close()
	}
	gateway := proctest.Start(t, nil, proctest.Build(t), "gateway", "--inner", "127.0.0.1:0",
		"--listen", "ws://127.0.0.1:0", "--listen", "text://127.0.0.1:0?proxy=required", "--trust-proxy", "127.0.0.1/32")
	proctest.StartWorker(t, gateway.Addrs["inner"], func() {}, func(c worker.Call, _ worker.Message) {
		c.Send(worker.Text(c.RemoteAddr().Addr().String()))
	})
	forged := http.Header{"X-Forwarded-For": {"203.0.113.9"}}
	t.Run("direct", func(t *testing.T) {
		t.Parallel()
		if got := askWhere(t, gateway.Addrs["ws"], forged); got != away {
			t.Errorf("%q", got)
		}
	})
	t.Run("nginx", func(t *testing.T) {
		t.Parallel()
		if got := askWhere(t, startNginx(t, gateway), forged); got != away {
			t.Errorf("%q", got)
		}
	})
	t.Run("HAProxy", func(t *testing.T) {
		t.Parallel()
		addr, _ := startHAProxy(t, gateway)
		if got := askWhere(t, addr, forged); got != away {
			t.Errorf("%q", got)
		}
	})
	t.Run("HAProxy PROXY", func(t *testing.T) {
		t.Parallel()
		ws := startTellingProxies(t, gateway.Addrs["ws"], proxyHeaders...)
		text := startTellingProxies(t, gateway.Addrs["text"], proxyHeaders...)
		for i, option := range proxyHeaders {
			if got := askWhere(t, ws[i], forged); got != away {
				t.Errorf("%s: %q", option, got)
			}
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(away)}}).Dial("tcp", text[i])
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(clientWithin))
			proctest.Say(t, conn, "where am I?")
			if got, err := bufio.NewReader(conn).ReadString('\n'); got != away+"\n" || err != nil {
				t.Errorf("%s, text: %q, %v", option, got, err)
			}
			_ = conn.Close()
		}
	})
}
