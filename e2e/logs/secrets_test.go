package logs_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// secret is in everything that clients send and that may be a secret.
const secret = "hunter2-5af1"

// upgradeHead is a valid request for a WebSocket with fields that hold secrets.
const upgradeHead = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// corpus are requests with secrets, valid and invalid ones.
func corpus(host string) (requests []string) {
	fields := "Authorization: Bearer " + secret + "\r\nCookie: session=" + secret + "\r\nX-API-Key: " + secret +
		"\r\nProxy-Authorization: Basic " + secret + "\r\nSec-WebSocket-Protocol: chat, " + secret + "\r\n"
	for _, path := range []string{"/chat", "/elsewhere", "/livez", "/", "/%zz", "//", "*", "http://a@b/c"} {
		target := path + "?token=" + secret + "&access_token=" + secret
		for _, more := range []string{
			"", upgradeHead, upgradeHead + "Origin: https://evil.example\r\n",
			upgradeHead + "Origin: https://" + secret + "@evil.example\r\n",
			upgradeHead + "X-Long: " + strings.Repeat("x", 9000) + "\r\n",
			upgradeHead + "Sec-WebSocket-Version: 12\r\n", "Bad Field: " + secret + "\r\n", "Cookie " + secret + "\r\n",
		} {
			for _, method := range []string{"GET", "POST", secret} {
				requests = append(requests, method+" "+target+" HTTP/1.1\r\nHost: "+host+"\r\n"+fields+more+"\r\n")
			}
		}
		requests = append(requests, "GET "+target+" HTTP/9\r\n\r\n", "GET "+target+"\r\n\r\n",
			"GET "+target+" HTTP/1.1\r\nHost: "+secret+"@evil.example\r\n\r\n")
	}
	return requests
}

// No secret of a client is in the log, at any level and in either format: not its token in a query,
// its Authorization, its cookies, nor what it says.
func TestLogHasNoSecrets(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			server := proctest.Start(t, nil, proctest.Build(t), "chat", "--log-level", "debug", "--log-format", format,
				"--log-rate=-1", "--access-log", "--keep-header", "*", "--listen", "ws://127.0.0.1:0/chat",
				"--listen", "text://127.0.0.1:0", "--listen", "json://127.0.0.1:0", "--listen", "jsonl://127.0.0.1:0")
			requests := corpus(server.Addrs["ws"])
			for _, r := range requests {
				send(t, server.Addrs["ws"], r)
			}
			lines := []string{
				`/login "Ada" ` + secret, "/join " + secret, secret, `{"type":"login","name":"Ada","token":"` + secret + `"}`,
				`{"type":"` + secret, "\xff" + secret,
			}
			for _, scheme := range []string{"text", "jsonl", "json"} {
				for _, l := range lines {
					send(t, server.Addrs[scheme], l+"\n")
				}
			}
			server.AwaitLog("access", len(requests)/2)
			if code := server.Terminate(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			for line := range strings.Lines(server.Log()) {
				if strings.Contains(line, secret) {
					t.Errorf("a secret is in the log: %s", line)
				}
				if format == "json" && !json.Valid([]byte(line)) {
					t.Errorf("not JSON: %s", line)
				}
			}
		})
	}
}

// send sends bytes and reads until the server closes the connection, or is silent for a moment.
func send(t *testing.T, addr, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, text)
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, _ = io.Copy(io.Discard, conn)
}

// The settings of the log, in a file, take effect on SIGHUP. The access log has a line for each
// connection, and the debug level has the events of each client.
func TestLogSettings(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(level, format string) {
		t.Helper()
		text := fmt.Sprintf("log_level: %s\nlog_format: %s\naccess_log: true\nlisten: [text://127.0.0.1:0]\n", level, format)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("warn", "text")
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--config", path)
	visit := func() {
		c := proctest.Dial(t, server.Addrs["text"])
		proctest.Echoes(t, c, "hello")
		_ = c.Close()
	}
	visit()
	server.AwaitLog("level=INFO msg=access remote=127.0.0.1:", 1)
	if log := server.Log(); strings.Contains(log, "link open") || strings.Contains(log, "client connected") {
		t.Errorf("lines below the level:\n%s", log)
	}
	write("debug", "json")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("configuration reloaded", 1)
	visit()
	server.AwaitLog(`"msg":"client disconnected"`, 1)
	server.AwaitLog(`"msg":"access"`, 1)
	if !strings.Contains(server.Log(), `"msg":"client connected"`) {
		t.Error("no line for the client that has connected")
	}
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
