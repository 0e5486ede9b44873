package reload_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// opens asks for a WebSocket as a page of an origin would, and reports whether it is opened.
func opens(t *testing.T, addr, origin string) bool {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nOrigin: https://%s\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		addr, origin)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusSwitchingProtocols
}

// SIGHUP puts a changed file into effect while clients stay connected, and says what needs a
// restart. A file with a mistake changes nothing.
func TestConfigurationIsReloaded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(origin, more string) {
		t.Helper()
		text := "listen:\n  - {url: 'ws://127.0.0.1:0', origin: [" + origin + "]}\n  - text://127.0.0.1:0\n" + more
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old.example", "")
	server := proctest.Start(t, []string{"SLUICE_REACTORS=1"}, proctest.Build(t), "echo", "--config", path)
	c := proctest.Dial(t, server.Addrs["text"])
	proctest.Echoes(t, c, "before")
	if web := server.Addrs["ws"]; !opens(t, web, "old.example") || opens(t, web, "new.example") {
		t.Error("the file of the start is not in effect")
	}

	write("new.example", "max_conns: 50\ndrain_rate: 500\n")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog(`msg="configuration reloaded" file=`+path+` changed="listen max_conns"`, 1)
	server.AwaitLog(`msg="settings keep their values until a restart" file=`+path+` keys=drain_rate`, 1)
	web := server.Addrs["ws"]
	if opens(t, web, "old.example") || !opens(t, web, "new.example") {
		t.Error("the new file is not in effect")
	}

	write("third.example", "max_conns: many\nmax_message: -1\n")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("configuration not reloaded, the old one stays", 1)
	server.AwaitLog(`max_conns: \"many\": must be a whole number`, 1)
	if opens(t, web, "third.example") || !opens(t, web, "new.example") {
		t.Error("a file with a mistake was put into effect")
	}
	proctest.Echoes(t, c, "after")
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// With --workers SIGHUP reads the file and then replaces the workers, which read it too. A file
// with a mistake keeps the old workers.
func TestConfigurationOfWorkersIsReloaded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(text string) {
		t.Helper()
		text = "workers: 2\nlisten: text://127.0.0.1:0\nreactors: 1\n" + text
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("broadcast_prefix: 'old'\n")
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--config", path)
	server.WorkerPIDs(2)
	write("broadcast_prefix: 'new'\n")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("msg=reloaded", 1)
	if all := server.WorkerPIDs(4); len(all) != 4 {
		t.Errorf("%d workers were started", len(all))
	}
	a, b := proctest.Dial(t, server.Addrs["text"]), proctest.Dial(t, server.Addrs["text"])
	proctest.Echoes(t, b, "here")
	_, _ = fmt.Fprintln(a, "new to all")
	for _, conn := range []net.Conn{a, b} {
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != "new to all" {
			t.Errorf("a client receives %q, %v", line, err)
		}
	}
	write("colour: red\n")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("configuration not reloaded, the old one stays", 1)
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := strings.Count(server.Log(), "msg=reloading"); n != 1 {
		t.Errorf("the workers were replaced %d times, not once", n)
	}
}
