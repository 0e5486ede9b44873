package gateway_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// Messages before an invalid one are handled and answered, in order. Then the client gets the error
// and is closed. Input after it is ignored.
func TestWhatCameBeforeAFaultIsAnswered(t *testing.T) {
	t.Parallel()
	g, _ := start(t, everyProtocol(gateway.ListenerConfig{MaxMessage: 1000}))
	at := listeners(g)
	held := make(chan struct{})
	let := sync.OnceFunc(func() { close(held) })
	defer let() // also when the test fails
	runWorker(t, g, slowEcho(held))
	closed := func(reason, detail string) string {
		return fmt.Sprintf(`{"type":"sluice.closed","reason":%q,"detail":%q}`, reason, detail)
	}
	type row struct{ name, protocol, sent, received string }
	rows := []row{
		{"a long line", "text", "a\nb\n" + strings.Repeat("x", 1001) + "\nc\n",
			"a\nb\n" + closed("too big", "a message of more than 1000 bytes") + "\n"},
		{"no document", "jsonl", "1\n2\n{]\n3\n", "1\n2\n" + closed("protocol", "not one strict JSON document") + "\n"},
		{"no document behind a length", "json", counted("1") + counted("2") + counted("x") + counted("3"),
			counted("1") + counted("2") + counted(closed("protocol", "not one strict JSON document"))},
		{"no length", "frame", counted("a") + counted("b") + "\x00\x00\x00\x03" + counted("c"),
			counted("a") + counted("b") +
				counted(closed("protocol", "the length must be at least 4: it includes its own four bytes"))},
		{"no UTF-8", "ws", masked(0x81, "a") + masked(0x82, "b") + masked(0x81, "\xff") + masked(0x81, "c"),
			"\x81\x01a\x82\x01b\x88\x13\x03\xeftext is not UTF-8"},
		{"a ping, and no UTF-8", "ws", masked(0x81, "a") + masked(0x89, "p") + masked(0x81, "\xff"),
			"\x8a\x01p\x81\x01a\x88\x13\x03\xeftext is not UTF-8"},
		{"too large", "ws", masked(0x81, "a") + masked(0x82, strings.Repeat("x", 1001)),
			"\x81\x01a\x88\x11\x03\xf1message too big"},
	}
	conns := make([]net.Conn, len(rows))
	for i, c := range rows {
		conn := dial(t, hostport(at[c.protocol]))
		conns[i] = conn
		_ = conn.SetDeadline(time.Now().Add(patience))
		sent := c.sent
		if c.protocol == "ws" {
			sent = string(codec.AppendUpgrade(nil, "h", "/", codec.NewKey(), &codec.DialOptions{})) + sent
		}
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "all messages are with the gateway, and nobody is closed", func() bool {
		s := g.Stats()
		return s.MessagesIn == 12 && s.Clients == len(rows)
	})
	let() // they are answered from here on
	for i, c := range rows {
		all, err := io.ReadAll(conns[i])
		if _, frames, upgraded := strings.Cut(string(all), "\r\n\r\n"); upgraded {
			all = []byte(frames)
		}
		if err != nil || string(all) != c.received {
			t.Errorf("%s is answered %q, %v\nwant %q", c.name, all, err, c.received)
		}
	}
	wait(t, "the reasons", func() bool {
		s := g.Stats()
		return s.ClosesByReason["protocol"] == 5 && s.ClosesByReason["too big"] == 2 && s.Clients == 0
	})
}

// slowEcho answers when the test lets it.
func slowEcho(held chan struct{}) worker.Handler {
	return onMessage(func(c worker.Call, m worker.Message) {
		<-held
		c.Send(m)
	})
}

// A client that has violated its protocol may be closed for another reason while its answers are
// awaited, or close by itself. It still gets the error.
func TestAClientIsClosedAfterAProtocolError(t *testing.T) {
	t.Parallel()
	g, _ := start(t, everyProtocol(gateway.ListenerConfig{}))
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	conn := dial(t, hostport(listeners(g)["jsonl"]))
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "1\n{]\n")
	client := attached(w)
	w.take("the message", func(_ int, f *link.Frame) bool { return f.Type == link.Message && string(f.Payload) == "1" })
	client.Type = link.Kick
	w.links[0].write(&client)
	if all, err := io.ReadAll(conn); err != nil ||
		!strings.Contains(string(all), `"detail":"not one strict JSON document"`) {
		t.Errorf("it receives %q, %v", all, err)
	}
	if reason := detached(w); reason != link.ReasonKicked {
		t.Errorf("the worker receives that it went for %v", reason)
	}
}

// A byte order mark before the first line of a text client, or before a document, is skipped,
// however it is split. In other places it is part of the message.
func TestByteOrderMarks(t *testing.T) {
	t.Parallel()
	const mark = "\xEF\xBB\xBF"
	g, _ := start(t, everyProtocol(gateway.ListenerConfig{}))
	runWorker(t, g, echo)
	at := listeners(g)
	for _, c := range []struct{ protocol, sent, received string }{
		{"text", mark + "a\n" + mark + "b\n", "a\n" + mark + "b\n"},
		{"text", mark + mark + "a\n", mark + "a\n"},
		{"text", mark + "\na\n", "\na\n"},
		{"text", mark[:2] + "a\n", mark[:2] + "a\n"},
		{"text", mark[:1] + "\n", mark[:1] + "\n"},
		{"text", "a" + mark + "\n", "a" + mark + "\n"},
		{"jsonl", mark + "1\n" + mark + "2\n" + mark + "\n3\n", "1\n2\n3\n"},
		{"json", counted(mark+"1") + counted("2") + counted(mark+"3"), counted("1") + counted("2") + counted("3")},
		{"frame", counted(mark + "a"), counted(mark + "a")},
	} {
		for _, piece := range []int{1, 2, len(c.sent)} {
			conn := dial(t, hostport(at[c.protocol]))
			_ = conn.SetDeadline(time.Now().Add(patience))
			for p := range slices.Chunk([]byte(c.sent), piece) {
				if _, err := conn.Write(p); err != nil {
					t.Fatal(err)
				}
			}
			received := make([]byte, len(c.received))
			if n, err := io.ReadFull(conn, received); err != nil || string(received) != c.received {
				t.Errorf("%s: %q in pieces of %d is answered %q, %v", c.protocol, c.sent, piece, received[:n], err)
			}
			_ = conn.Close()
		}
	}
}

// Clients compress with context takeover if that is enabled, until MaxTakeoverBytes is reached.
// Clients that go release their part.
func TestClientTakeover(t *testing.T) {
	t.Parallel()
	cfg := ws(gateway.ListenerConfig{Compress: true})
	cfg.MaxTakeoverBytes = 2*codec.WindowSize + 100
	g, _ := start(t, cfg)
	runWorker(t, g, echo)
	open := func(takeover bool) *websocket.Conn {
		conn, response, err := websocket.Dial(within(t), g.Addrs()[0],
			&websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		if got := response.Header.Get("Sec-WebSocket-Extensions"); !strings.Contains(got, "server_no_context_takeover") ||
			strings.Contains(got, "client_no_context_takeover") == takeover {
			t.Errorf("answered %q", got)
		}
		for i := range 5 {
			text := fmt.Sprintf("message %d, much of which has been said in the messages before it", i)
			if err := conn.Write(within(t), websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := conn.Read(within(t)); err != nil || string(got) != text {
				t.Fatalf("takeover %v: message %d comes back as %q, %v", takeover, i, got, err)
			}
		}
		return conn
	}
	first := open(true)
	open(true)
	open(false)
	if s := g.Stats(); s.TakeoverBytes != 2*codec.WindowSize || s.TakeoversRejected != 1 {
		t.Errorf("%d bytes may be kept, %d clients were refused it", s.TakeoverBytes, s.TakeoversRejected)
	}
	_ = first.CloseNow()
	wait(t, "it is given back", func() bool { return g.Stats().TakeoverBytes == codec.WindowSize })
	broken := open(true) // so does a client that violates the protocol
	_ = broken.Write(within(t), websocket.MessageText, []byte("\xff"))
	if _, _, err := broken.Read(within(t)); websocket.CloseStatus(err) != 1007 {
		t.Errorf("text that is none: %v", err)
	}
	wait(t, "it is given back", func() bool {
		s := g.Stats()
		return s.TakeoverBytes == codec.WindowSize && s.Clients == 2
	})
}
