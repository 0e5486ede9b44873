package cli_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// A worker with the key is accepted, and one with another key is not.
func TestKeyFile(t *testing.T) {
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
	// The gateway accepts the worker: Start waits until the worker is ready.
	proctest.Start(t, nil, bin, "echo", "--worker", "--gateway", gateway.Addrs["inner"], "--key-file", good)

	out, err := exec.Command(bin, "echo", "--worker", "--key-file", key("short", "short")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "at least 16") {
		t.Errorf("a short key was taken: %v %s", err, out)
	}
}

// An invalid command line is refused with exit code 2, and the error names the wrong flag.
func TestUsage(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for _, c := range []struct{ line, says string }{
		{"chat --no-such-flag", "Run 'sluice chat --help'"},
		{"chat surplus", "surplus"},
		{"no-such-verb", "no-such-verb"},
		{"echo --reactors many", "--reactors"},
		{"gateway --reactors 256", "--reactors"},
		{"echo --worker --workers -1", "--workers"},
		{"gateway --listen wss://127.0.0.1:0", "--tls-cert"},
		{"gateway --listen ws://127.0.0.1:0 --tls-key key", "--tls-cert"},
		{"gateway --listen ws://127.0.0.1:0 --link-tls-ca ca", "--link-tls-cert"},
		{"gateway --listen ws://127.0.0.1:0 --link-tls-name n", "--link-tls-ca"},
		{"gateway --listen ws://127.0.0.1:0 --tls-ticket-keys t", "--tls-cert"},
		{"gateway --listen 127.0.0.1:7272", "ws://"},
		{"gateway --listen ws://127.0.0.1", "host:port"},
		{"gateway --inner here", "--inner"},
		{"gateway --listen ws://127.0.0.1:0 --max-message 16777217", "--max-message"},
		{"gateway --listen ws://127.0.0.1:0 --handshake-timeout -1s", "--handshake-timeout"},
		{"gateway --drain-timeout -1s", "--drain-timeout"},
		{"gateway --router best", "--router"},
		{"gateway --drain-timeout 0s", "--drain-timeout: must not be 0 (default 10s)"},
		{"gateway --heartbeat 0", "--heartbeat: must not be 0"},
		{"gateway --max-message 0", "--max-message: must not be 0"},
		{"echo --worker --drain-timeout 0s", "--drain-timeout: must not be 0"},
		{"chat --idle-timeout 0s", "--idle-timeout: must not be 0"},
		{"echo --worker --weight 0", "--weight"},
		{"gateway --max-buffered -1", "--max-buffered"},
		{"chat --gateway 127.0.0.1:2300", "--worker"},
		{"echo --worker --gateway here", "--gateway"},
	} {
		cmd := exec.Command(bin, strings.Fields(c.line)...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), c.says) {
			t.Errorf("sluice %s: exit code %d, not 2, or without %q: %s", c.line, cmd.ProcessState.ExitCode(), c.says, out)
		}
	}
}

// A worker without a gateway logs flags that have no effect. The workers of --workers have their
// parent's command line, and log nothing.
func TestFlagsWithoutEffect(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "1")
	w := proctest.Start(t, nil, bin, "echo", "--worker", "--workers", "2", "--gateway", gateway.Addrs["inner"],
		"--max-conns", "5", "--name", "w")
	w.AwaitLog(`msg="worker ready"`, 2)
	if log := w.Log(); strings.Count(log, "has no effect") != 1 || !strings.Contains(log, "--max-conns") {
		t.Errorf("--max-conns was not the one flag that is said to have no effect:\n%s", log)
	}
}

// Clients go to the worker with a hundred times the weight, or to the workers in turn. One worker
// broadcasts what its clients say, and the other one does not, which shows where clients went.
func TestRouterAndWeight(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	const people = 20
	for router, heavy := range map[string]int{"least": people, "round-robin": people / 2} {
		t.Run(router, func(t *testing.T) {
			gateway := proctest.Start(t, nil, bin, "gateway", "--router", router, "--reactors", "1",
				"--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0")
			for weight, prefix := range map[string]string{"1": "nobody says this", "100": "P"} {
				proctest.Start(t, nil, bin, "echo", "--worker", "--weight", weight, "--broadcast-prefix", prefix,
					"--gateway", gateway.Addrs["inner"])
			}
			gateway.AwaitLog(`msg="link open"`, 2) // a worker is ready a moment before the loop has its link
			listener := proctest.Dial(t, gateway.Addrs["text"])
			proctest.Echoes(t, listener, "hello")
			for i := range people {
				c := proctest.Dial(t, gateway.Addrs["text"])
				if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
					t.Fatal(err)
				}
				line := fmt.Sprint("P", i)
				proctest.Say(t, c, line)
				in := bufio.NewScanner(c)
				for in.Scan() && in.Text() != line {
				}
				if in.Err() != nil {
					t.Fatal(in.Err())
				}
			}
			proctest.Say(t, listener, "the end")
			broadcast := 0
			for in := bufio.NewScanner(listener); in.Scan() && in.Text() != "the end"; {
				broadcast++
			}
			if broadcast != heavy {
				t.Errorf("%d of %d clients went to the worker with more weight, not %d", broadcast, people, heavy)
			}
		})
	}
}

// WebSockets that answer no pings are closed by --heartbeat, and clients that cannot be pinged
// by --idle-timeout.
func TestSilence(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	start := func(flags ...string) (ws, text net.Conn) {
		server := proctest.Start(t, nil, bin,
			append([]string{"echo", "--listen", "ws://127.0.0.1:0", "--listen", "text://127.0.0.1:0"}, flags...)...)
		dial := func(scheme, hello string) net.Conn {
			c, err := net.Dial("tcp", server.Addrs[scheme])
			if err == nil {
				err = c.SetDeadline(time.Now().Add(20 * time.Second))
			}
			if err == nil {
				_, err = c.Write([]byte(hello))
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		upgrade := codec.AppendUpgrade(nil, server.Addrs["ws"], "/", codec.NewKey(), &codec.DialOptions{})
		return dial("ws", string(upgrade)), dial("text", "")
	}
	echoes := func(c net.Conn, sent, want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := c.Write([]byte(sent)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Errorf("of %q came back %q, %v", sent, got, err)
		}
	}
	ws, text := start("--heartbeat", "100ms", "--idle-timeout", "10m")
	// A close frame, 4003.
	if told, err := io.ReadAll(ws); err != nil || !strings.HasSuffix(string(told), "\x88\x06\x0f\xa3idle") {
		t.Errorf("the silent WebSocket receives %q, %v", told, err)
	}
	echoes(text, "here\n", "here\n")

	ws, text = start("--heartbeat", "10m", "--idle-timeout", "300ms")
	if told, err := io.ReadAll(text); err != nil || string(told) != `{"type":"sluice.closed","reason":"idle"}`+"\n" {
		t.Errorf("the silent text client receives %q, %v", told, err)
	}
	head := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(ws, head); err != nil || string(head) != "HTTP/1.1 101" {
		t.Errorf("the WebSocket, which may be silent, receives %q, %v", head, err)
	}
	if _, err := ws.Write([]byte("\x89\x80\x00\x00\x00\x00")); err != nil { // a ping: its pong is the last of what comes
		t.Fatal(err)
	}
	rest := bufio.NewReader(ws)
	for {
		b, err := rest.ReadByte()
		if err != nil {
			t.Fatalf("the WebSocket, which may be silent, has ended: %v", err)
		}
		if b == 0x8A {
			return
		}
	}
}

// Messages that begin with the prefix go to all clients, and others back to their sender.
func TestBroadcastPrefix(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	server := proctest.Start(t, nil, bin, "echo", "--listen", "text://127.0.0.1:0", "--listen", "jsonl://127.0.0.1:0",
		"--broadcast-prefix", `"all`)
	var lines []*bufio.Reader
	var conns []net.Conn
	for _, scheme := range []string{"text", "jsonl"} {
		c, err := net.Dial("tcp", server.Addrs[scheme])
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		conns, lines = append(conns, c), append(lines, bufio.NewReader(c))
	}
	for i, c := range conns {
		own := fmt.Sprintf("%d\n", i)
		if _, err := c.Write([]byte(own)); err != nil {
			t.Fatal(err)
		}
		if got, err := lines[i].ReadString('\n'); got != own {
			t.Fatalf("got %q, %v, not its own message back", got, err)
		}
	}
	if _, err := conns[0].Write([]byte("\"all of you\"\n")); err != nil {
		t.Fatal(err)
	}
	for i, r := range lines {
		if got, err := r.ReadString('\n'); got != "\"all of you\"\n" {
			t.Errorf("client %d got %q, %v", i, got, err)
		}
	}
}
