package gateway_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

func text(l gateway.ListenerConfig) gateway.Config {
	l.URL = "text://127.0.0.1:0"
	return gateway.Config{Listeners: []gateway.ListenerConfig{l}}
}

// Strangers on the worker port are closed and counted, receive nothing, and do not disturb others.
func TestStrangersOnTheWorkerPort(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{})
	cfg.Key = []byte("the key of this test")
	g, _ := start(t, cfg)
	refused := uint64(0)
	for name, said := range map[string]string{
		"garbage":         strings.Repeat("GET / HTTP/1.1\r\n", 10),
		"a length of 0":   "\x00\x00",
		"a huge length":   "\xff\xff",
		"another magic":   "\x00\x28SLUICX\x01\x01" + strings.Repeat("n", 32),
		"another version": "\x00\x28SLUICE\x07\x09" + strings.Repeat("n", 32),
		"half a hello":    "\x00\x28SLUICE",
		"nothing":         "",
	} {
		conn := dial(t, g.WorkerAddr())
		if _, err := conn.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		if name == "half a hello" || name == "nothing" {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		told := 0
		if name == "another version" {
			told = 2 + 6 + 1 + 5 + 32 // message 2, which names the gateway's version
		}
		if b, err := io.ReadAll(conn); len(b) != told || !ended(err) && err != nil {
			t.Errorf("%s: told %d bytes, %v", name, len(b), err)
		}
		refused++
		wait(t, name+" counted", func() bool { return g.Stats().WorkerAuthFailures == refused })
	}
	for _, key := range [][]byte{nil, []byte("another key"), cfg.Key[1:]} {
		if _, err := dialLink(t, g.WorkerAddr(), key, oneWorker); err == nil {
			t.Errorf("the key %q is taken", key)
		}
		refused++
		wait(t, "a wrong key counted", func() bool { return g.Stats().WorkerAuthFailures == refused })
	}
	hello := oneWorker
	hello.Loop = 7
	if _, err := dialLink(t, g.WorkerAddr(), cfg.Key, hello); err == nil {
		t.Error("a loop that is not there is taken")
	}
	dialWorker(t, g.WorkerAddr(), cfg.Key, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
}

// A silent peer is closed after the 5 s that a hello may take.
func TestASilentPeerIsCut(t *testing.T) {
	t.Parallel()
	g, _ := start(t, text(gateway.ListenerConfig{}))
	conn := dial(t, g.WorkerAddr())
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !ended(err) {
		t.Errorf("%d bytes, %v", n, err)
	}
	wait(t, "it counted", func() bool { return g.Stats().WorkerAuthFailures == 1 })
}

func TestAProbeIsAnsweredAndNotKept(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{})
	cfg.Loops, cfg.ID, cfg.Name, cfg.LinkHeartbeat = 3, 77, "gw", 7*time.Second
	g, _ := start(t, cfg)
	conn := dial(t, g.WorkerAddr())
	hello, err := link.Connect(conn, nil, link.WorkerHello{Role: link.RoleProbe, Loop: link.AnyLoop})
	if err != nil || hello.ID != 77 || hello.Loops != 3 || hello.Name != "gw" || hello.Heartbeat != 7*time.Second ||
		hello.Epoch == 0 {
		t.Errorf("%+v, %v", hello, err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !ended(err) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if s := g.Stats(); s.Workers != 0 || s.WorkerAuthFailures != 0 {
		t.Errorf("%d workers, %d refused", s.Workers, s.WorkerAuthFailures)
	}
}

// A link without frames for two heartbeats is closed, and its clients go to other workers.
func TestASilentLinkIsCut(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{})
	cfg.LinkHeartbeat = time.Second
	g, _ := start(t, cfg)
	conn := dial(t, g.WorkerAddr())
	if _, err := link.Connect(conn, nil, oneWorker); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for _, want := range []link.Type{link.Ping, link.GoAway} {
		if f, err := readFrame(conn); err != nil || f.Type != want ||
			want == link.GoAway && f.Code != uint16(link.NoHeartbeat) {
			t.Fatalf("%v %v, %v; want %v", f.Type, link.Status(f.Code), err, want)
		}
	}
	wait(t, "no worker", func() bool { return g.Stats().Workers == 0 })
}

// A worker with an invalid window gets both figures, and no client.
func TestWindowsAreBounded(t *testing.T) {
	t.Parallel()
	var log logbook
	cfg := text(gateway.ListenerConfig{})
	cfg.Logger = log.logger()
	g, _ := start(t, cfg)
	for _, c := range []struct {
		window uint32
		ok     bool
	}{
		{0, false}, {1, true}, {256 << 20, true}, {256<<20 + 1, false}, {1<<32 - 1, false},
	} {
		hello := oneWorker
		hello.Window = c.window
		conn := dial(t, g.WorkerAddr())
		if _, err := link.Connect(conn, nil, hello); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = conn.Write(link.Append(nil, &link.Frame{Type: link.Ping, ID: 7}))
		f, err := readFrame(conn)
		switch figures := fmt.Sprintf("window of %d bytes: must be between 1 and 268435456", c.window); {
		case err != nil:
			t.Errorf("%d bytes: %v", c.window, err)
		case c.ok && f.Type != link.Pong:
			t.Errorf("%d bytes: %v %q", c.window, f.Type, f.Payload)
		case !c.ok && (f.Type != link.GoAway || link.Status(f.Code) != link.Refused ||
			!strings.Contains(string(f.Payload), figures)):
			t.Errorf("%d bytes: %v %v %q", c.window, f.Type, link.Status(f.Code), f.Payload)
		case !c.ok:
			wait(t, "the log to say so", func() bool { return strings.Contains(strings.Join(log.lines(), "\n"), figures) })
		}
		_ = conn.Close()
	}
	wait(t, "nobody left", func() bool { return g.Stats().Workers == 0 })
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	for name, lis := range map[string]gateway.ListenerConfig{"in total": {MaxConns: 2}, "of one address": {MaxPerIP: 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := start(t, text(lis))
			first := dialClient(t, g.Addrs()[0])
			dialClient(t, g.Addrs()[0])
			wait(t, "two clients", func() bool { return g.Stats().Clients == 2 })
			if got := dialClient(t, g.Addrs()[0]).receive(); got != "closed" {
				t.Errorf("the third receives %q", got)
			}
			_ = first.conn.Close()
			wait(t, "one client", func() bool { return g.Stats().Clients == 1 })
			dialClient(t, g.Addrs()[0])
			wait(t, "two clients again", func() bool { return g.Stats().Clients == 2 })
		})
	}
}

// A worker drains with many unacknowledged frames. Each client moves once, and the link stays open.
func TestADrainOfMany(t *testing.T) {
	t.Parallel()
	const clients = 150
	g, _ := start(t, text(gateway.ListenerConfig{}))
	old := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	for range clients {
		dialClient(t, g.Addrs()[0]).say("hi")
	}
	for range 2 * clients {
		old.take("what each begins with", func(_ int, f *link.Frame) bool {
			return f.Type == link.Attach || f.Type == link.Message
		})
	}
	l := old.links[0]
	l.write(&link.Frame{Type: link.Drain})
	l.ack()
	moved := map[uint64]bool{}
	for range clients {
		_, f := old.take("a client leaving", func(_ int, f *link.Frame) bool {
			return f.Type == link.Detach && f.Has(link.FlagMoved)
		})
		moved[f.Token] = true
	}
	if len(moved) != clients {
		t.Errorf("%d of %d have left", len(moved), clients)
	}
	old.barrier(1)
	if old.isOver() {
		t.Error("the link was cut")
	}
}

// A replaced link receives nothing more, however long its peer keeps it open.
func TestAReplacedLinkGetsNothingMore(t *testing.T) {
	t.Parallel()
	g, _ := start(t, text(gateway.ListenerConfig{}))
	old := dial(t, g.WorkerAddr())
	if _, err := link.Connect(old, nil, oneWorker); err != nil {
		t.Fatal(err)
	}
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	client := dialClient(t, g.Addrs()[0])
	_ = old.SetReadDeadline(time.Now().Add(patience))
	if f, err := readFrame(old); err != nil || f.Type != link.Attach {
		t.Fatalf("%v, %v", f.Type, err)
	}
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	if f, err := readFrame(old); err != nil || f.Type != link.GoAway || f.Code != uint16(link.Replaced) {
		t.Fatalf("%v, %v", f.Type, err)
	}
	client.say("hi")
	w.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach && f.Has(link.FlagNew) })
	w.take("the message", func(_ int, f *link.Frame) bool { return f.Type == link.Message && string(f.Payload) == "hi" })
}
