package gateway_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
)

// A witness is a well-behaved client. It must not notice what other clients do.
type witness struct {
	*fakeClient
	said int
}

func newWitness(t *testing.T, url string) *witness {
	t.Helper()
	w := &witness{fakeClient: dialClient(t, url)}
	w.isServed()
	return w
}

// isServed sends a message and waits for its echo.
func (w *witness) isServed() {
	w.t.Helper()
	w.said++
	text := fmt.Sprintf(`"message %d of the witness"`, w.said)
	w.say(text)
	if got := w.receive(); got != text {
		w.t.Fatalf("the witness said %q and receives %q", text, got)
	}
}

// masked is a frame as a client sends it, masked with a key of zeros.
func masked(first byte, payload string) string {
	b := []byte{first, 0x80}
	switch n := len(payload); {
	case n < 126:
		b[1] |= byte(n)
	case n <= 0xFFFF:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return string(append(b, 0, 0, 0, 0)) + payload
}

// claim is the header of a binary frame with a given length.
func claim(size uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte{0x82, 0x80 | 127}, size)) + "\x00\x00\x00\x00"
}

// counted is a payload after its length, as in formats json and frame.
func counted(payload string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(4+len(payload)))) + payload
}

// everyProtocol has one listener of each protocol.
func everyProtocol(l gateway.ListenerConfig) gateway.Config {
	var cfg gateway.Config
	for _, scheme := range []string{"ws", "text", "json", "jsonl", "frame"} {
		l.URL = scheme + "://127.0.0.1:0"
		cfg.Listeners = append(cfg.Listeners, l)
	}
	return cfg
}

// listeners are a gateway's addresses by protocol.
func listeners(g *gateway.Gateway) map[string]string {
	m := make(map[string]string)
	for _, url := range g.Addrs() {
		scheme, _, _ := strings.Cut(url, "://")
		m[scheme] = url
	}
	return m
}

// Malformed, oversized and ambiguous input closes its sender's connection with the right code,
// however it is split, and no other connection.
func TestBadMessagesEndTheirSenderAlone(t *testing.T) {
	t.Parallel()
	const largest = 4096
	cfg := everyProtocol(gateway.ListenerConfig{MaxMessage: largest, Compress: true})
	g, _ := start(t, cfg)
	runWorker(t, g, echo)
	at := listeners(g)
	w := newWitness(t, at["text"])
	ends := make(map[string]uint64)
	for _, c := range []struct {
		name, protocol, sent string
		code                 int // of the WebSocket
		reason               string
	}{
		{"unmasked", "ws", "\x81\x02hi", 1002, "protocol"},
		{"reserved opcode", "ws", masked(0x83, "x"), 1002, "protocol"},
		{"reserved control opcode", "ws", masked(0x8B, ""), 1002, "protocol"},
		{"reserved bits", "ws", masked(0xA1, "x"), 1002, "protocol"},
		{"compressed, not agreed on", "ws", masked(0xC1, "x"), 1002, "protocol"},
		{"continuation of nothing", "ws", masked(0x80, "x"), 1002, "protocol"},
		{"two messages at once", "ws", masked(0x01, "x") + masked(0x81, "x"), 1002, "protocol"},
		{"fragmented ping", "ws", masked(0x09, "x"), 1002, "protocol"},
		{"ping of 126 bytes", "ws", masked(0x89, strings.Repeat("x", 126)), 1002, "protocol"},
		{"a long length of a short frame", "ws", "\x82\xfe\x00\x05\x00\x00\x00\x00hello", 1002, "protocol"},
		{"a length with the top bit", "ws", claim(1 << 63), 1002, "protocol"},
		{"a length of 2^63-1", "ws", claim(1<<63 - 1), 1009, "too big"},
		{"a byte too many", "ws", masked(0x82, strings.Repeat("x", largest+1)), 1009, "too big"},
		{"a byte too many in fragments", "ws", masked(0x02, strings.Repeat("x", largest)) + masked(0x80, "x"), 1009,
			"too big"},
		{"text of another encoding", "ws", masked(0x81, "\xff"), 1007, "protocol"},
		{"text that is wrong over two frames", "ws", masked(0x01, "\xce") + masked(0x80, "x"), 1007, "protocol"},
		{"text that ends within a character", "ws", masked(0x81, "\xce"), 1007, "protocol"},
		{"a close code that is none", "ws", masked(0x88, "\x03\xed"), 1002, "protocol"},
		{"a close reason of another encoding", "ws", masked(0x88, "\x03\xe8\xff"), 1007, "protocol"},

		{"a long line", "text", strings.Repeat("x", largest+1), 0, "too big"},
		{"a huge frame", "frame", "\xff\xff\xff\xff", 0, "too big"},
		{"a frame shorter than its length", "frame", "\x00\x00\x00\x03", 0, "protocol"},
		{"a huge document", "json", "\x7f\xff\xff\xff", 0, "too big"},
		{"a line that is no document", "jsonl", "hello\n", 0, "protocol"},
		{"a deep document", "json", counted(strings.Repeat("[", largest)), 0, "protocol"},
		{"a deep document that ends", "json", counted(strings.Repeat("[", largest/2) + strings.Repeat("]", largest/2)), 0,
			"protocol"},
		{"deep objects", "jsonl", strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500) + "\n", 0, "protocol"},
		{"two readings", "json", counted(`{"to":"ann","to":"bob"}`), 0, "protocol"},
		{"two readings, escaped", "jsonl", `{"to":"ann","t\u006f":"bob"}` + "\n", 0, "protocol"},
		{"a huge number", "json", counted("1e999"), 0, "protocol"},
		{"NUL", "jsonl", `"\u0000"` + "\n", 0, "protocol"},
		{"a document of another encoding", "json", counted("\"\xff\""), 0, "protocol"},
		{"half a character", "json", counted(`"\ud800"`), 0, "protocol"},
		{"two documents", "json", counted("1 2"), 0, "protocol"},
	} {
		for _, piece := range []int{len(c.sent), 1} {
			if piece == 1 && len(c.sent) > 200 {
				continue
			}
			opened := dialRaw(t, at[c.protocol])
			for rest := c.sent; rest != ""; rest = rest[piece:] {
				if _, err := opened.conn.Write([]byte(rest[:piece])); err != nil {
					break // it has ended
				}
			}
			want := strings.TrimSuffix(closedFor(c.reason), "}") + `,"detail":"` // and what is wrong with it
			if c.code != 0 {
				want = fmt.Sprintf("close %d", c.code)
			}
			if got := opened.receive(); !strings.HasPrefix(got, want) {
				t.Errorf("%s: the sender receives %q, want %q", c.name, got, want)
			}
			ends[c.reason]++
			wait(t, c.name+": counted", func() bool { return g.Stats().ClosesByReason[c.reason] == ends[c.reason] })
		}
		w.isServed()
	}
	wait(t, "the witness alone", func() bool { return g.Stats().Clients == 1 })
}

// closedFor is the last message to a client whose protocol has no close frame.
func closedFor(reason string) string {
	return fmt.Sprintf(`{"type":"sluice.closed","reason":%q}`, reason)
}

// dialRaw connects a client that sends raw bytes.
func dialRaw(t testing.TB, url string) *fakeClient {
	t.Helper()
	if strings.HasPrefix(url, "json:") {
		url = "frame" + url[len("json"):] // its bytes are read raw
	}
	return dialClient(t, url)
}

// A client that begins a message and does not complete it is closed after a while, even if it sends
// a byte now and then.
func TestMessagesThatAreNeverComplete(t *testing.T) {
	t.Parallel()
	g, _ := start(t, everyProtocol(gateway.ListenerConfig{MessageTimeout: time.Second}))
	runWorker(t, g, echo)
	at := listeners(g)
	w := newWitness(t, at["text"])
	idle := newWitness(t, at["frame"]) // a client without an incomplete message may be silent
	var slow []*fakeClient
	began := time.Now()
	for _, c := range []struct{ protocol, begin, then string }{
		{"text", "a line that", "x"},
		{"jsonl", `{"never":`, " "},
		{"json", "\x00\x00\x10\x00", "["},
		{"frame", "\x00\x00\x10\x00", "x"},
		{"frame", "\x00", ""},
		{"ws", "\x82", ""},
		{"ws", masked(0x82, strings.Repeat("x", 100))[:50], ""},
		{"ws", claim(100_000), "x"},
		{"ws", masked(0x01, ""), masked(0x00, "")},
		{"ws", masked(0x01, "x"), masked(0x89, "a ping")},
		{"ws", masked(0x01, "x"), masked(0x00, "y")},
		{"ws", masked(0x81, "a whole one") + masked(0x01, "x"), ""},
	} {
		k := dialRaw(t, at[c.protocol])
		k.write([]byte(c.begin))
		slow = append(slow, k)
		done := make(chan struct{})
		t.Cleanup(func() { <-done })
		go func() { // a byte now and then until it is closed
			defer close(done)
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if _, err := k.conn.Write([]byte(c.then)); err != nil || c.then == "" {
					return
				}
			}
		}()
	}
	for i, k := range slow {
		got := k.receive()
		for got == "a whole one" {
			got = k.receive()
		}
		if got != closedFor("limit") && got != "close 1008 limit" {
			t.Errorf("slow client %d receives %q", i, got)
		}
	}
	t.Logf("%d slow clients cut within %v", len(slow), time.Since(began).Round(10*time.Millisecond))
	wait(t, "all counted, and nothing held", func() bool {
		s, n := g.Stats(), uint64(len(slow))
		return s.MessageTimeouts == n && s.ClosesByReason["limit"] == n && s.PartialBytes == 0
	})
	w.isServed()
	idle.isServed()
}

// A message that comes slowly but steadily has more time the longer it is, and the next message has
// its own time.
func TestALongMessageHasMoreTime(t *testing.T) {
	t.Parallel()
	g, _ := start(t, text(gateway.ListenerConfig{MessageTimeout: time.Second}))
	runWorker(t, g, echo)
	c := dialClient(t, g.Addrs()[0])
	want := strings.Repeat("x", 100_000)
	for rest := want; rest != ""; { // 100 KB extend the deadline by 24 s
		n := min(len(rest), 4096)
		c.write([]byte(rest[:n]))
		rest = rest[n:]
		<-time.After(100 * time.Millisecond)
	}
	c.write([]byte("\n"))
	if got := c.receive(); got != want {
		t.Errorf("receives %.50q", got)
	}
	if s := g.Stats(); s.MessageTimeouts != 0 {
		t.Errorf("%d cut", s.MessageTimeouts)
	}
}

// A client that must send first and does not is closed. A client that has sent may listen for ever.
func TestFirstMessage(t *testing.T) {
	t.Parallel()
	g, _ := start(t, everyProtocol(gateway.ListenerConfig{FirstMessageTimeout: time.Second, MessageTimeout: -1}))
	runWorker(t, g, echo)
	at := listeners(g)
	w := newWitness(t, at["text"])
	mute := map[string]*fakeClient{closedFor("handshake"): dialClient(t, at["frame"]),
		"close 4008 handshake": dialClient(t, at["ws"])}
	mute["close 4008 handshake"].write([]byte(masked(0x89, "a ping is no message")))
	half := dialClient(t, at["text"])
	half.write([]byte("half a message is none"))
	for want, c := range mute {
		if got := c.receive(); got != want {
			t.Errorf("receives %q, want %q", got, want)
		}
	}
	if got := half.receive(); got != closedFor("handshake") {
		t.Errorf("who has sent half a message receives %q", got)
	}
	wait(t, "three counted", func() bool {
		s := g.Stats()
		return s.FirstMessageTimeouts == 3 && s.ClosesByReason["handshake"] == 3
	})
	w.isServed()
}

// The memory for incomplete messages is bounded.
func TestPartialMessagesAreBounded(t *testing.T) {
	t.Parallel()
	cfg := everyProtocol(gateway.ListenerConfig{})
	cfg.MaxPartialBytes = 100_000
	g, _ := start(t, cfg)
	runWorker(t, g, echo)
	at := listeners(g)
	w := newWitness(t, at["text"])
	large := dialClient(t, at["text"]) // may be larger than the bound while it is alone
	text := strings.Repeat("x", 200_000)
	large.write([]byte(text))
	wait(t, "all of it held", func() bool { return g.Stats().PartialBytes == len(text) })
	large.write([]byte("\n"))
	if got := large.receive(); got != text {
		t.Fatalf("receives %.50q", got)
	}
	const many = 40
	var greedy []*fakeClient
	for i := range many {
		var c *fakeClient
		switch i % 3 {
		case 0:
			c = dialClient(t, at["text"])
			c.write([]byte(text[:10_000]))
		case 1:
			c = dialClient(t, at["ws"])
			c.write([]byte(claim(500_000) + text[:10_000]))
		case 2:
			c = dialClient(t, "frame"+at["ws"][len("ws"):]) // which reads raw bytes
			c.write([]byte("GET / HTTP/1.1\r\nHost: gateway.example\r\nX-Padding: " + text[:10_000]))
		}
		greedy = append(greedy, c)
	}
	wait(t, "the greedy cut", func() bool { return g.Stats().PartialEvictions >= many-10 })
	if s := g.Stats(); s.PartialBytes > cfg.MaxPartialBytes {
		t.Errorf("%d bytes held", s.PartialBytes)
	}
	w.isServed()
	for _, c := range greedy {
		_ = c.conn.Close()
	}
	wait(t, "nothing held", func() bool {
		s := g.Stats()
		return s.PartialBytes == 0 && s.Clients == 2 && s.ClosesByReason["limit"] == s.PartialEvictions
	})
}
