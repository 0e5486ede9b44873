package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// realClients are WebSocket clients of others: ws and undici of npm, Node.js's own WebSocket, and
// python3-websockets, each by a program in testdata/realclients; and Chromium.
var realClients = []string{"ws", "undici", "node", "python", "chromium"}

const clientsDir = "testdata/realclients"

// clientWithin bounds the life of a client's program.
const clientWithin = 50 * time.Second

// clientCommand begins the command line of a client. Where it is not installed the test is skipped.
func clientCommand(t *testing.T, kind string) []string {
	t.Helper()
	sources, err := filepath.Glob(clientsDir + "/*.*")
	if err != nil || len(sources) == 0 {
		t.Fatalf("%v: %d sources", err, len(sources))
	}
	for _, name := range sources { // so that the go command knows what the result depends on
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	switch kind {
	case "python":
		return []string{python(t), clientsDir + "/websockets_client.py"}
	case "node":
		return append(nodeWithWebSocket(t), clientsDir+"/node.js", kind)
	}
	if _, err := os.Stat(filepath.Join(clientsDir, "node_modules", kind)); err != nil {
		missing(t, kind+" (npm ci in "+clientsDir+" installs it)")
	}
	return []string{need(t, "node"), clientsDir + "/node.js", kind}
}

// client is a client's program. It is killed when it takes too long.
func client(t *testing.T, command []string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), clientWithin)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, command[0], slices.Concat(command[1:], args)...)
	cmd.Env = append(os.Environ(), "no_proxy=*")
	cmd.Stderr = new(bytes.Buffer)
	return cmd
}

// python is a Python that has websockets.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import websockets").Run() == nil {
			return name
		}
	}
	missing(t, "python3-websockets")
	return ""
}

// nodeWithWebSocket runs a client on the WebSocket that Node.js has by itself. Version 18 has none;
// what later ones have is undici's, which is tested in any case.
func nodeWithWebSocket(t *testing.T) []string {
	t.Helper()
	node := need(t, "node")
	for _, command := range [][]string{{node}, {node, "--experimental-websocket"}} {
		args := append(command[1:], "-e", "new WebSocket('ws://127.0.0.1:1').onerror = () => {}")
		if exec.Command(command[0], args...).Run() == nil {
			return command
		}
	}
	t.Skip("NOT TESTED: this Node.js has no WebSocket of its own")
	return nil
}

// ran is what a client's program has printed as its last line.
func ran(t *testing.T, cmd *exec.Cmd, report any) {
	t.Helper()
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, report)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s%v", cmd.Args, err, out, cmd.Stderr)
	}
}

// ending is the close event of a WebSocket.
type ending struct {
	Code   int
	Reason string
	Clean  bool
}

// visit is what a client says of its conversation.
type visit struct {
	Extensions string
	Protocols  []string // without one asked for, and with some
	Who        whoIs
	Closed     ending // by the client
	Kicked     ending // by the server
}

// whoIs is what a worker knows of a client's request.
type whoIs struct{ Target, Subprotocol, Host, ForwardedFor, ForwardedProto string }

// mirror is the business code for real clients: it sends back what they send, except for a few
// commands.
type mirror struct {
	mu      sync.Mutex
	handled map[string]int // by what stands before the first space; guarded by mu
}

func (h *mirror) message(c worker.Call, m worker.Message) {
	switch name, _, numbered := bytes.Cut(m.Data, []byte(" ")); {
	case string(m.Data) == "who":
		r := c.Request()
		// Encoding strings cannot fail.
		answer, _ := json.Marshal(whoIs{
			r.Target, r.Subprotocol(), r.Header("Host"), r.Header("X-Forwarded-For"), r.Header("X-Forwarded-Proto"),
		})
		c.Send(worker.TextBytes(answer))
		return
	case string(m.Data) == "kick":
		c.Send(worker.Text("farewell"))
		c.Close()
		return
	case numbered && !m.Binary && len(name) < 100:
		h.mu.Lock()
		h.handled[string(name)]++
		h.mu.Unlock()
	}
	c.Send(m)
}

// startMirror starts a gateway with a mirror behind it.
func startMirror(t *testing.T, bin string, flags ...string) (*proctest.Process, *mirror) {
	t.Helper()
	gateway := proctest.Start(t, nil, bin, append([]string{
		"gateway", "--listen", "ws://127.0.0.1:0?subprotocol=chat", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--chat-page",
	}, flags...)...)
	h := &mirror{handled: make(map[string]int)}
	proctest.StartWorker(t, gateway.Addrs["inner"], func() {}, h.message)
	return gateway, h
}

// ways are the ways to a gateway's WebSockets.
var ways = []struct {
	name string
	open func(*testing.T, *proctest.Process) (addr string)
}{
	{"direct", func(_ *testing.T, gateway *proctest.Process) string { return gateway.Addrs["ws"] }},
	{"nginx", startNginx},
	{"HAProxy", func(t *testing.T, gateway *proctest.Process) string {
		ws, _ := startHAProxy(t, gateway)
		return ws
	}},
}

// TestRealClients connects clients that others have written, directly and by way of proxies.
// testdata/realclients has their programs.
func TestRealClients(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for name, test := range map[string]func(*testing.T, string){
		"talk":        testTalk,
		"requests":    testRequests,
		"drain":       testDrain,
		"quiet":       testQuiet,
		"half closed": testHalfClosed,
		"page":        testPageBehindNginx,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, bin)
		})
	}
}

// testTalk opens WebSockets with each client, sends messages of all kinds and sizes, also
// compressed ones, and closes from either side.
func testTalk(t *testing.T, bin string) {
	alone, _ := startMirror(t, bin)
	takeover, _ := startMirror(t, bin, "--max-takeover-bytes", "16777216")
	// Each gateway is used directly and through a proxy.
	for i, gateway := range []*proctest.Process{alone, alone, takeover, takeover} {
		way, name := ways[i%len(ways)], ways[i%len(ways)].name
		if gateway == takeover {
			name += " takeover"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := way.open(t, gateway)
			for _, kind := range realClients {
				t.Run(kind, func(t *testing.T) {
					t.Parallel()
					var v visit
					if kind == "chromium" {
						v = talkInBrowser(t, openBrowser(t), addr)
					} else {
						ran(t, client(t, clientCommand(t, kind), "talk", "ws://"+addr), &v)
					}
					checkVisit(t, v, addr, way.name != "direct", gateway == takeover)
				})
			}
		})
	}
}

func checkVisit(t *testing.T, v visit, addr string, proxied, takeover bool) {
	t.Helper()
	name, parameters, told := strings.Cut(v.Extensions, ";") // ws tells the name alone
	if name != "permessage-deflate" || told && strings.Contains(parameters, "client_no_context_takeover") == takeover {
		t.Errorf("extensions agreed to: %q", v.Extensions)
	}
	if fmt.Sprint(v.Protocols) != "[ chat]" {
		t.Errorf("sub-protocols agreed to: %q", v.Protocols)
	}
	want := whoIs{Target: "/talk?a=b", Host: addr}
	if proxied {
		want.ForwardedFor, want.ForwardedProto = "127.0.0.1", "http"
	}
	if v.Who != want {
		t.Errorf("its worker knows %+v, not %+v", v.Who, want)
	}
	if want := (ending{3001, "", true}); v.Closed != want {
		t.Errorf("its own close ended with %+v, not %+v", v.Closed, want)
	}
	if want := (ending{1000, "kicked", true}); v.Kicked != want {
		t.Errorf("the server's close ended with %+v, not %+v", v.Kicked, want)
	}
}

// testRequests opens WebSockets by requests that devices and proxies make, and that only few
// clients do.
func testRequests(t *testing.T, bin string) {
	gateway, _ := startMirror(t, bin)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			addr := way.open(t, gateway)
			for _, c := range []struct{ name, line, fields, target, from string }{
				{"Content-Length 0", "GET /a?b=c HTTP/1.1", "Content-Length: 0\r\n", "/a?b=c", ""},
				{"absolute form", "GET http://" + addr + "/a?b=c HTTP/1.1", "", "/a?b=c", ""},
				{"an empty line before it", "\r\nGET /a HTTP/1.1", "", "/a", ""},
				{"two proxies before", "GET /a HTTP/1.1", "X-Forwarded-For: 192.0.2.1\r\nVia: 1.1 first\r\n", "/a", "192.0.2.1"},
				{"names in lower case", "GET /a HTTP/1.1", "x-forwarded-for: 192.0.2.1\r\ncookie: a=b\r\n", "/a", "192.0.2.1"},
			} {
				got, err := ask(addr, c.line, c.fields)
				if err != nil || got.Target != c.target || !strings.HasPrefix(got.ForwardedFor, c.from) {
					t.Errorf("%s: %+v, %v", c.name, got, err)
				}
			}
		})
	}
}

// ask opens a WebSocket by a request that is written by hand, and asks who it is.
func ask(addr, line, fields string) (got whoIs, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return got, err
	}
	defer func() { c.Close() }()
	// SetDeadline cannot fail on a TCP connection that is open.
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	const request = "%s\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n"
	if _, err := fmt.Fprintf(c, request, line, addr, codec.NewKey(), fields); err != nil {
		return got, err
	}
	in := bufio.NewReader(c)
	head, err := http.ReadResponse(in, nil)
	if err != nil {
		return got, err
	}
	if head.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(head.Body)
		return got, fmt.Errorf("%s: %q, %w", head.Status, body, err)
	}
	if _, err := c.Write([]byte("\x81\x83\x00\x00\x00\x00who")); err != nil {
		return got, err
	}
	if _, err := in.ReadString('{'); err != nil { // behind the frame's header
		return got, err
	}
	if err := in.UnreadByte(); err != nil {
		return got, err
	}
	return got, json.NewDecoder(in).Decode(&got)
}

// departure is what a client says of its end at a drain.
type departure struct {
	ending
	Name    string
	Answers int
}

// testDrain ends a gateway whose clients send without a pause. Each receives the reason in a
// close frame, a clean end, and the answers to everything that was handled.
func testDrain(t *testing.T, bin string) {
	for _, way := range ways {
		for _, kind := range realClients {
			t.Run(way.name+" "+kind, func(t *testing.T) {
				t.Parallel()
				n := 50
				var leave func(addr string) []departure
				if kind == "chromium" {
					n = 15 // it is slow to open more
					tab := openBrowser(t)
					leave = func(addr string) []departure { return leaveInBrowser(t, tab, addr, kind, n) }
				} else {
					command := clientCommand(t, kind)
					leave = func(addr string) (all []departure) {
						ran(t, client(t, command, "leave", "ws://"+addr, kind, strconv.Itoa(n)), &all)
						return all
					}
				}
				gateway, h := startMirror(t, bin, "--drain-rate", "200", "--drain-timeout", "30s")
				addr := way.open(t, gateway)
				var ending sync.WaitGroup
				defer ending.Wait()
				ending.Go(func() {
					if h.awaitClients(n, 30*time.Second) {
						_ = syscall.Kill(gateway.PID, syscall.SIGTERM) // else they never end, and that fails
					}
				})
				all := leave(addr)
				if code := gateway.ExitCode(); code != 0 {
					t.Errorf("exit code %d", code)
				}
				// Chromium calls no end clean when the page has sent something that could not go
				// out any more.
				checkDepartures(t, all, h, n, kind != "chromium")
			})
		}
	}
}

// awaitClients waits until so many clients have had a message handled.
func (h *mirror) awaitClients(n int, within time.Duration) bool {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		here := len(h.handled)
		h.mu.Unlock()
		if here == n {
			return true
		}
	}
	return false
}

func checkDepartures(t *testing.T, all []departure, h *mirror, n int, clean bool) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(all) != n {
		t.Errorf("%d clients came back, not %d", len(all), n)
	}
	answers := 0
	for _, d := range all {
		want := ending{1012, "draining", clean || d.Clean}
		if d.ending != want || d.Answers != h.handled[d.Name] {
			t.Errorf("%s ended with %+v, not %+v; %d messages were handled, and it has %d answers",
				d.Name, d.ending, want, h.handled[d.Name], d.Answers)
		}
		answers += d.Answers
	}
	t.Logf("%d clients, %d answers", n, answers)
}

// testQuiet lets clients send nothing for longer than a client may that answers no pings. They
// answer pings by themselves.
func testQuiet(t *testing.T, bin string) {
	gateway, _ := startMirror(t, bin, "--heartbeat", "1s")
	addr := gateway.Addrs["ws"]
	t.Run("programs", func(t *testing.T) {
		t.Parallel()
		var all []*quietClient
		for _, kind := range realClients {
			if kind == "chromium" {
				continue // below
			}
			t.Run(kind, func(sub *testing.T) {
				q, err := startQuiet(client(t, clientCommand(sub, kind), "quiet", "ws://"+addr))
				if err != nil {
					sub.Fatal(err)
				}
				all = append(all, q)
			})
		}
		outlastSilent(t, addr)
		for _, q := range all {
			if err := q.speak(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("chromium", func(t *testing.T) {
		t.Parallel()
		tab := openBrowser(t)
		promised[bool](t, tab, "http://"+addr+"/",
			fmt.Sprintf("globalThis.quiet = new Peer(WebSocket, 'ws://%s'); quiet.opened.then(() => true)", addr))
		outlastSilent(t, addr)
		inBrowser(t, tab, chromedp.Evaluate[chromedp.Void]("quiet.echoes('still here')", chromedp.EvalAwaitPromise))
	})
}

// outlastSilent waits as long as a new WebSocket may stay open that answers no pings.
func outlastSilent(t *testing.T, addr string) {
	t.Helper()
	mute, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	upgrade := codec.AppendUpgrade(nil, "gateway.example", "/", codec.NewKey(), &codec.DialOptions{})
	if _, err = mute.Write(upgrade); err == nil {
		_, err = io.Copy(io.Discard, mute)
	}
	if err != nil {
		t.Error(err)
	}
}

// quietClient is the program of a client that has a WebSocket open, and sends a message on
// request.
type quietClient struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startQuiet(cmd *exec.Cmd) (*quietClient, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	q := &quietClient{cmd, in, bufio.NewReader(out)}
	if line, err := q.out.ReadString('\n'); line != "open\n" {
		return nil, errors.Join(fmt.Errorf("it says %q, %w", line, err), q.speak())
	}
	return q, nil
}

// speak has the client send a message and wait for the answer.
func (q *quietClient) speak() error {
	_, err := io.WriteString(q.in, "speak\n")
	_ = q.in.Close()
	_, _ = io.Copy(io.Discard, q.out)
	if waited := q.cmd.Wait(); waited != nil || err != nil {
		return fmt.Errorf("%v: %w\n%v", q.cmd.Args, errors.Join(err, waited), q.cmd.Stderr)
	}
	return nil
}

// testHalfClosed lets text clients send something and close their side at once. They receive the
// answers, and then the end.
func testHalfClosed(t *testing.T, bin string) {
	gateway, _ := startMirror(t, bin)
	for _, way := range []string{"direct", "HAProxy"} {
		t.Run(way, func(t *testing.T) {
			addr := gateway.Addrs["text"]
			if way == "HAProxy" {
				_, addr = startHAProxy(t, gateway)
			}
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Repeat("one line of many\n", 1000)
			for _, command := range [][]string{{"nc", "-N", host, port}, {"socat", "-t", "20", "-", "TCP:" + addr}} {
				t.Run(command[0], func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), clientWithin)
					defer cancel()
					cmd := exec.CommandContext(ctx, need(t, command[0]), command[1:]...)
					help, _ := exec.Command(command[0], "-h").CombinedOutput()
					if command[0] == "nc" && !bytes.Contains(help, []byte("-N")) {
						missing(t, "nc that has -N")
					}
					cmd.Stdin = strings.NewReader(said)
					if out, err := cmd.Output(); err != nil || string(out) != said {
						t.Errorf("%v: %d bytes of %d came back, %q …", err, len(out), len(said), out[:min(len(out), 100)])
					}
				})
			}
		})
	}
}
