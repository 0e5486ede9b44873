package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/codec"
	"sluice/internal/proctest"
)

// talker is one of many who chat over plain text.
type talker struct {
	name string
	conn net.Conn
	in   *bufio.Scanner
	lost atomic.Bool // the connection ended
	mu   sync.Mutex
	seen map[string]bool // guarded by mu: texts
	more *sync.Cond      // on mu
}

func newTalker(t *testing.T, addr, name string) *talker {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	k := &talker{name: name, conn: conn, in: bufio.NewScanner(conn), seen: make(map[string]bool)}
	k.more = sync.NewCond(&k.mu)
	t.Cleanup(func() { _ = conn.Close() })
	k.say(t, `{"type":"login","name":"`+name+`"}`, `{"type":"join","room":"lobby"}`)
	for k.in.Scan() {
		if strings.Contains(k.in.Text(), `"type":"users"`) {
			go k.listen()
			return k
		}
	}
	t.Fatalf("%s was not let in: %v", name, k.in.Err())
	return nil
}

func (k *talker) say(t *testing.T, lines ...string) {
	t.Helper()
	if _, err := k.conn.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
}

func (k *talker) listen() {
	for k.in.Scan() {
		if !bytes.Contains(k.in.Bytes(), []byte(`"type":"message"`)) {
			continue
		}
		var e struct{ Text string }
		if json.Unmarshal(k.in.Bytes(), &e) == nil {
			k.mu.Lock()
			k.seen[e.Text] = true
			k.mu.Unlock()
			k.more.Broadcast()
		}
	}
	k.lost.Store(true)
}

// await waits until the talker has seen all texts, and reports whether it did before the deadline.
func (k *talker) await(texts []string, deadline time.Time) bool {
	stop := time.AfterFunc(time.Until(deadline), k.more.Broadcast)
	defer stop.Stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, text := range texts {
		for !k.seen[text] {
			if !time.Now().Before(deadline) {
				return false
			}
			k.more.Wait()
		}
	}
	return true
}

// TestWorkerKilled runs a gateway and two workers as processes of their own, with 200 clients that chat. One worker is killed with SIGKILL and a new one started:
// nobody is disconnected, and within a second of the new worker's start everybody can talk to everybody again: a second more than the same takes when nothing fails, which on a
// busy machine is not nothing.
func TestWorkerKilled(t *testing.T) {
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0")
	worker := func() *proctest.Process {
		return proctest.Start(t, nil, bin, "chat", "--worker", "--gateway", gateway.Addrs["inner"])
	}
	first := worker()
	worker()
	const n, talkAgain = 200, time.Second
	talkers := make([]*talker, n)
	for i := range talkers {
		talkers[i] = newTalker(t, gateway.Addrs["text"], fmt.Sprintf("user%d", i))
	}
	talk := func(what string) []string {
		var texts []string
		for i, k := range talkers {
			text := fmt.Sprintf("%s from %d", what, i)
			texts = append(texts, text)
			k.say(t, fmt.Sprintf(`{"type":"say","room":"lobby","text":%q}`, text))
		}
		return texts
	}
	began := time.Now()
	before := talk("before")
	for i, k := range talkers {
		if !k.await(before[i:i+1], time.Now().Add(20*time.Second)) {
			t.Fatalf("%s was not heard before the kill", k.name)
		}
	}
	undisturbed := time.Since(began)
	for _, k := range talkers {
		if !k.await(before, time.Now().Add(20*time.Second)) {
			t.Fatalf("%s did not hear everybody before the kill", k.name)
		}
	}

	first.Kill()
	worker()
	started := time.Now()
	after := talk("after")
	for i, k := range talkers {
		if !k.await(after[i:i+1], started.Add(undisturbed+talkAgain)) {
			t.Errorf("%s was not heard within %v of the new worker's start, and %v when nothing failed", k.name, undisturbed+talkAgain, undisturbed)
		}
	}
	t.Logf("all %d were heard after %v; after %v when nothing failed", n, time.Since(started).Round(time.Millisecond), undisturbed.Round(time.Millisecond))
	for _, k := range talkers { // 40,000 messages, on a machine that may be busy with other tests
		if !k.await(after, started.Add(20*time.Second)) {
			t.Errorf("%s did not hear everybody", k.name)
		}
	}
	t.Logf("all %d heard all %d after %v", n, n, time.Since(started).Round(time.Millisecond))
	for _, k := range talkers {
		if k.lost.Load() {
			t.Errorf("%s was disconnected", k.name)
		}
	}
}

// TestDescriptorsRunOut gives a gateway fewer descriptors than there are dials: clients that are connected go on undisturbed, and those that dialled are
// served soon after descriptors are free again.
func TestDescriptorsRunOut(t *testing.T) {
	bin := proctest.Build(t)
	server := proctest.Start(t, nil, "/bin/sh", "-c", "ulimit -n 64; exec "+bin+" echo --listen text://127.0.0.1:0")
	addr := server.Addrs["text"]
	var live []net.Conn
	echo := func(c net.Conn) error {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if _, err := c.Write([]byte("hello\n")); err != nil {
			return err
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && line != "hello\n" {
			err = fmt.Errorf("got %q", line)
		}
		return err
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for range 10 {
		c := dial()
		if err := echo(c); err != nil {
			t.Fatal(err)
		}
		live = append(live, c)
	}
	var flood []net.Conn
	for range 120 {
		flood = append(flood, dial()) // the kernel takes them all
	}
	for _, c := range live {
		if err := echo(c); err != nil {
			t.Errorf("a connected client was disturbed: %v", err)
		}
	}
	for _, c := range flood[:100] {
		_ = c.Close()
	}
	free := time.Now()
	for _, c := range append(flood[100:], live...) {
		if err := echo(c); err != nil {
			t.Errorf("after descriptors came free: %v", err)
		}
		if c == flood[len(flood)-1] {
			t.Logf("the last who had waited was served %v after descriptors were free", time.Since(free).Round(100*time.Microsecond))
		}
	}
	const promised = time.Second
	if took := time.Since(free); took > 3*promised { // other tests may run beside
		t.Errorf("all were served only %v after descriptors were free", took)
	}
}

// TestKeyFile lets a worker in that holds the key, and keeps one out that does not.
func TestKeyFile(t *testing.T) {
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
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0", "--key-file", good)
	proctest.Start(t, nil, bin, "echo", "--worker", "--gateway", gateway.Addrs["inner"], "--key-file", good) // is ready, so it is in

	out, err := exec.Command(bin, "echo", "--worker", "--key-file", key("short", "short")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "at least 16") {
		t.Errorf("a short key was taken: %v %s", err, out)
	}
}

// TestUsage refuses what is not understood with exit code 2, and names the flag that is wrong.
func TestUsage(t *testing.T) {
	bin := proctest.Build(t)
	for _, c := range []struct{ line, says string }{
		{"chat --no-such-flag", "Run 'sluice chat --help'"},
		{"chat surplus", "surplus"},
		{"no-such-verb", "no-such-verb"},
		{"echo --reactors many", "--reactors"},
		{"gateway --reactors 256", "--reactors"},
		{"echo --worker --workers -1", "--workers"},
		{"gateway --listen wss://127.0.0.1:0", "--listen"},
		{"gateway --listen 127.0.0.1:7272", "ws://"},
		{"gateway --listen ws://127.0.0.1", "host:port"},
		{"gateway --inner here", "--inner"},
		{"gateway --listen ws://127.0.0.1:0 --max-message 16777217", "--max-message"},
		{"gateway --listen ws://127.0.0.1:0 --handshake-timeout -1s", "--handshake-timeout"},
		{"gateway --drain-for -1s", "--drain-for"},
		{"gateway --router best", "--router"},
		{"gateway --drain-for 0s", "--drain-for: 0 is too little (default 10s)"},
		{"gateway --heartbeat 0", "--heartbeat: 0 is too little"},
		{"gateway --max-message 0", "--max-message: 0 is too little"},
		{"echo --worker --drain-for 0s", "--drain-for: 0 is too little"},
		{"chat --idle 0s", "--idle: 0 is too little"},
		{"gateway --drain-delay -1s", "--drain-delay: -1s is negative"},
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

// TestFlagsWithoutEffect lets a worker alone know that it has no clients. The workers of --workers have their parent's command line, and say nothing.
func TestFlagsWithoutEffect(t *testing.T) {
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0", "--reactors", "1")
	w := proctest.Start(t, nil, bin, "echo", "--worker", "--workers", "2", "--gateway", gateway.Addrs["inner"], "--max-conns", "5", "--name", "w")
	w.AwaitLog(`msg="worker ready"`, 2)
	if log := w.Log(); strings.Count(log, "has no effect") != 1 || !strings.Contains(log, "--max-conns") {
		t.Errorf("--max-conns was not the one flag that is said to have no effect:\n%s", log)
	}
}

// TestRouterAndWeight tells by the history, which each chat worker keeps of what its own clients say, who went where: all to the worker that weighs a hundred times as much as the other
// one, or by turns.
func TestRouterAndWeight(t *testing.T) {
	bin := proctest.Build(t)
	const people = 20
	for router, remembered := range map[string]int{"least": people, "round-robin": people / 2} {
		t.Run(router, func(t *testing.T) {
			gateway := proctest.Start(t, nil, bin, "gateway", "--router", router, "--reactors", "1", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0")
			for _, weight := range []string{"1", "100"} {
				proctest.Start(t, nil, bin, "chat", "--worker", "--weight", weight, "--gateway", gateway.Addrs["inner"])
			}
			var history string
			for i := range people + 1 {
				c, err := net.Dial("tcp", gateway.Addrs["text"])
				if err == nil {
					err = c.SetDeadline(time.Now().Add(20 * time.Second))
				}
				if err == nil {
					_, err = fmt.Fprintf(c, "/login P%d\n/join lobby\nI am here\n", i)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close() }()
				for in := bufio.NewScanner(c); in.Scan(); {
					if strings.Contains(in.Text(), `"type":"history"`) {
						history = in.Text()
					} else if strings.Contains(in.Text(), "I am here") {
						break
					}
				}
			}
			if n := strings.Count(history, "I am here"); n != remembered {
				t.Errorf("who came last finds %d of %d messages, not %d: %s", n, people, remembered, history)
			}
		})
	}
}

// TestSilence closes WebSockets that answer no pings by --heartbeat, and clients that cannot be pinged by --idle.
func TestSilence(t *testing.T) {
	bin := proctest.Build(t)
	start := func(flags ...string) (ws, text net.Conn) {
		server := proctest.Start(t, nil, bin, append([]string{"echo", "--listen", "ws://127.0.0.1:0", "--listen", "text://127.0.0.1:0"}, flags...)...)
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
		return dial("ws", string(codec.AppendUpgrade(nil, server.Addrs["ws"], "/", codec.NewKey(), &codec.DialOptions{}))), dial("text", "")
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
	ws, text := start("--heartbeat", "100ms", "--idle", "10m")
	if told, err := io.ReadAll(ws); err != nil || !strings.HasSuffix(string(told), "\x88\x06\x0f\xa3idle") { // a close frame, 4003
		t.Errorf("the silent WebSocket hears %q, %v", told, err)
	}
	echoes(text, "here\n", "here\n")

	ws, text = start("--heartbeat", "10m", "--idle", "300ms")
	if told, err := io.ReadAll(text); err != nil || string(told) != `{"type":"sluice.closed","reason":"idle"}`+"\n" {
		t.Errorf("the silent text client hears %q, %v", told, err)
	}
	head := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(ws, head); err != nil || string(head) != "HTTP/1.1 101" {
		t.Errorf("the WebSocket, which may be silent, hears %q, %v", head, err)
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

// TestConformance runs the codec's conformance cases against the whole path: client, gateway, worker and back.
func TestConformance(t *testing.T) {
	bin := proctest.Build(t)
	server := proctest.Start(t, nil, bin, "echo", "--listen", "ws://127.0.0.1:0", "--max-message", "16777216")
	cmd := exec.Command("go", "test", "-count=1", "-run", "^TestConformance$", "sluice/codec")
	cmd.Env = append(os.Environ(), "SLUICE_CONFORMANCE_ADDR="+server.Addrs["ws"])
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestBroadcastPrefix sends what begins with the prefix to everybody, and the rest back to its sender.
func TestBroadcastPrefix(t *testing.T) {
	bin := proctest.Build(t)
	server := proctest.Start(t, nil, bin, "echo", "--listen", "text://127.0.0.1:0", "--listen", "jsonl://127.0.0.1:0", "--broadcast-prefix", `"all`)
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
