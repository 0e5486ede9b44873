package cli_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// Command lines that are almost right are refused with exit code 2. The error names the flag and
// shows the right form.
func TestWhatWasMeant(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for _, c := range []struct{ line, says string }{
		{"echo --worker --gateway here", "--gateway: \"here\": must be host:port, for example here:2300"},
		{"echo --worker --gateway ws://127.0.0.1:7272", "without a scheme: 127.0.0.1:7272 (workers connect to"},
		{"echo --worker --drain-timeout -1s", "--drain-timeout: -1s: must be at least 0"},
		{"echo --worker --name " + strings.Repeat("n", 201), "--name"},
		{"gateway --inner ws://127.0.0.1:2300", "--inner: \"ws://127.0.0.1:2300\": must be host:port without a scheme"},
		{"gateway --inner 2300", "127.0.0.1:2300"},
		{
			"gateway --listen wss://127.0.0.1:7272/chat",
			"needs a certificate and its key",
		},
		{"gateway --listen 127.0.0.1:7272", "write ws://127.0.0.1:7272"},
		{"gateway --listen http://127.0.0.1:7272", "write ws://127.0.0.1:7272"},
		{"gateway --listen tcp://127.0.0.1:7272", "write text://127.0.0.1:7272"},
		{"gateway --listen ws://127.0.0.1:0/chat?room=a", "there is no option \"room\", only subprotocol=NAME[,NAME]"},
		{"gateway --listen ws://127.0.0.1:0?subprotocol=a,a", "--listen: \"a\" is there twice"},
		{"gateway --origin https://chat.example/room", "--origin: \"https://chat.example/room\" is not an origin"},
		{"gateway --max-output -1", "--max-output: -1: must be at least 0"},
		{"gateway --max-output 0", "--max-output: must not be 0 (default 1048576)"},
		{"gateway --idle-timeout 0", "--idle-timeout: must not be 0 (default 10m0s)"},
		{"echo --worker --drain-timeout 0s", "--drain-timeout: must not be 0 (default 10s)"},
		{"gateway --max-groups 65536", "--max-groups: 65536: must be between 1 and 65535"},
		{"gateway --max-group-bytes 1048561", "--max-group-bytes: 1048561: must be between 1 and 1048560"},
		{"gateway --drain-rate -1", "--drain-rate"},
		{"bench soak --workers -1", `"-1" is not a number`},
	} {
		cmd := exec.Command(bin, strings.Fields(c.line)...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), c.says) {
			t.Errorf("sluice %s: exit code %d, not 2, or without %q: %s", c.line, cmd.ProcessState.ExitCode(), c.says, out)
		}
	}
}

// A gateway starts with each limit turned off by a negative number.
func TestNegativeIsOff(t *testing.T) {
	t.Parallel()
	args := []string{
		"gateway", "--listen", "ws://127.0.0.1:0", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "1",
	}
	for _, flag := range []string{
		"max-takeover-bytes", "max-conns", "max-per-ip", "connect-rate", "message-rate", "byte-rate",
	} {
		args = append(args, "--"+flag, "-1")
	}
	for _, flag := range []string{
		"first-message-timeout", "message-timeout", "write-timeout", "heartbeat", "idle-timeout", "drain-delay",
	} {
		args = append(args, "--"+flag, "-1ns") // as little below zero as there is
	}
	proctest.Start(t, nil, proctest.Build(t), args...)
}

// WebSockets open on the path and with the subprotocol that --listen names, and the chat's page
// finds its socket there.
func TestListenURLs(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for _, c := range []struct{ url, socket, target, offers, agreed string }{
		{"ws://127.0.0.1:0", "./", "/anything", "chat", "chat"},
		{"ws://127.0.0.1:0/*", "./", "/anything", "other", ""},
		{"ws://127.0.0.1:0/chat", "./chat", "/chat/", "other,chat", "chat"},
		{"ws://127.0.0.1:0/chat/*?subprotocol=v2,v1", "./chat/", "/chat/room?a=b", "v1,v2", "v2"},
		{"ws://127.0.0.1:0?subprotocol=v2", "./", "/", "chat", ""},
	} {
		server := proctest.Start(t, nil, bin, "chat", "--listen", c.url, "--max-takeover-bytes", "32768")
		addr, _, _ := strings.Cut(strings.TrimPrefix(server.Addrs["ws"], "ws://"), "/")
		page, err := http.Get("http://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		html, err := io.ReadAll(page.Body)
		_ = page.Body.Close()
		if err != nil || !strings.Contains(string(html), `data-socket="`+c.socket+`"`) {
			t.Errorf("%s: the page's socket is not at %s: %.100s, %v", c.url, c.socket, html, err)
		}
		ws, response, err := websocket.Dial(t.Context(), "ws://"+addr+c.target, &websocket.DialOptions{
			Subprotocols: strings.Split(c.offers, ","), CompressionMode: websocket.CompressionContextTakeover,
		})
		if err != nil {
			t.Errorf("%s is not opened on %s: %v", c.url, c.target, err)
			continue
		}
		extensions := response.Header.Get("Sec-WebSocket-Extensions")
		if ws.Subprotocol() != c.agreed || extensions != "permessage-deflate; server_no_context_takeover" {
			t.Errorf("%s: agreed to %q and to %q", c.url, ws.Subprotocol(), extensions)
		}
		_ = ws.CloseNow()
	}
	http.DefaultClient.CloseIdleConnections()
}

// A key is read from a file or a pipe, and reading it never blocks forever, for example on a
// device.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	dir := t.TempDir()
	key := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := key("good", "a key of more than sixteen bytes\n")
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--key-file", good)
	for path, says := range map[string]string{
		key("short", "short"):                    "5 bytes: must be at least 16",
		key("empty", ""):                         "0 bytes: must be at least 16",
		key("blank", strings.Repeat(" \n", 100)): "0 bytes: must be",
		key("long", strings.Repeat("x", 4097)):   "more than 4096 bytes",
		filepath.Join(dir, "no-such-file"):       "no such file",
		dir:                                      "is a directory",
		"/dev/zero":                              "more than 4096 bytes",
		"/dev/null":                              "0 bytes: must be",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // it reads no file for ever
		out, err := exec.CommandContext(ctx, bin, "echo", "--worker", "--key-file", path).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--key-file "+path) || !strings.Contains(string(out), says) {
			t.Errorf("--key-file %s: %v %s, want %q", path, err, out, says)
		}
		cancel()
	}

	r, w, err := os.Pipe() // as a shell's <(command)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := w.WriteString("a key of more than sixteen bytes"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "echo", "--worker", "--gateway", gateway.Addrs["inner"], "--key-file", "/dev/fd/3")
	cmd.ExtraFiles = []*os.File{r}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); !strings.HasPrefix(line, "ready ") {
		t.Errorf("a worker whose key comes by a pipe says %q, %v", line, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// If another program listens on the port, the error names the flag and the address.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	for _, line := range []string{
		"gateway --inner 127.0.0.1:0 --listen ws://" + addr,
		"gateway --listen text://127.0.0.1:0 --inner " + addr,
	} {
		flag := line[strings.LastIndex(line, "--"):]
		cmd := exec.Command(bin, strings.Fields(line)...)
		out, err := cmd.CombinedOutput()
		named := strings.Contains(string(out), flag+": ")
		told := strings.Contains(string(out), "already in use: stop the program that listens there")
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !named || !told {
			t.Errorf("sluice %s: exit code %d, %s", line, cmd.ProcessState.ExitCode(), out)
		}
	}
}

// The bytes that docs/operating.md and --help give as examples are valid messages.
func TestExamplesOfLengths(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	guide, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	help, err := exec.Command(bin, "gateway", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	echo := proctest.Start(t, nil, bin, "echo", "--listen", "frame://127.0.0.1:0",
		"--listen", "json://127.0.0.1:0", "--reactors", "1")
	for _, c := range []struct{ scheme, text, payload, in string }{
		{"frame", "00 00 00 09 68 65 6c 6c 6f", "hello", string(guide)},
		{"frame", "00 00 00 09 68 65 6c 6c 6f", "hello", string(help)},
		{"json", "00 00 00 06 7b 7d", "{}", string(guide)},
	} {
		if !strings.Contains(c.in, c.text) {
			t.Errorf("%s is not explained by %q", c.scheme, c.text)
		}
		b, err := hex.DecodeString(strings.ReplaceAll(c.text, " ", ""))
		if err != nil || string(b[4:]) != c.payload {
			t.Fatalf("%q: %v", b, err)
		}
		conn := proctest.Dial(t, echo.Addrs[c.scheme])
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(b))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != string(b) {
			t.Errorf("%s: sent % x, got % x, %v", c.scheme, b, got, err)
		}
	}
}
