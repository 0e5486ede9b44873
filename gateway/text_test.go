package gateway_test

import (
	"context"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// A text that is not valid UTF-8 closes no WebSocket: invalid bytes become U+FFFD where the format
// requires it, once for all receivers, and are counted. Lines and frames carry any bytes unchanged.
func TestTextIsUTF8WhereTheFormatNeedsIt(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{
		{URL: "ws://127.0.0.1:0", Compress: true}, {URL: "jsonl://127.0.0.1:0"}, {URL: "text://127.0.0.1:0"},
		{URL: "frame://127.0.0.1:0"},
		{URL: "tcp://127.0.0.1:0", Codec: netstring{}},
	}})
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	to := w.links[0]
	open := func(url string) *fakeClient {
		c := dialClient(t, url)
		f := w.letIn()
		c.id = link.MakeClientID(to.hello.ID, 0, f.Slot, f.Token)
		return c
	}
	squeezed := &fakeClient{t: t, conn: dial(t, hostport(g.Addrs()[0])), deflate: codec.NewDeflate()}
	squeezed.upgrade(hostport(g.Addrs()[0]), "/")
	w.letIn()
	all := map[string]*fakeClient{"ws": open(g.Addrs()[0]), "jsonl": open(g.Addrs()[1]), "text": open(g.Addrs()[2]),
		"frame": open(g.Addrs()[3])}
	receives := func(who, want string) {
		t.Helper()
		if got := all[who].receive(); got != want {
			t.Errorf("%s receives %q, want %q", who, got, want)
		}
	}
	send := func(who string, typ link.Type, flags uint8, text string) {
		id := all[who].id
		to.write(&link.Frame{Type: typ, Flags: flags, Slot: id.Slot(), Token: id.Token(), Payload: []byte(text)})
	}
	invalid := func(want uint64) {
		t.Helper()
		wait(t, "its count", func() bool { return g.Stats().InvalidTexts == want })
	}

	// the first two are a backslash and letters: valid, but not JSON
	publisher{to}.publish(0, "", `"café \xff\xfe`+"caf\xe9"+`"`)
	invalid(1)
	publisher{to}.publish(0, "", "\"caf\xe9 \xff\xfe!\"")
	invalid(2) // in two encodings of WebSockets, in JSON and in a Codec's
	mended := `"caf` + "\uFFFD \uFFFD" + `!"`
	receives("ws", `"café \xff\xfe`+"caf\uFFFD"+`"`)
	receives("ws", mended)
	receives("jsonl", mended)
	for _, raw := range []string{"text", "frame"} {
		receives(raw, `"café \xff\xfe`+"caf\xe9"+`"`)
		receives(raw, "\"caf\xe9 \xff\xfe!\"")
	}

	send("ws", link.Send, link.FlagText, "\xc3")
	receives("ws", "\uFFFD")
	invalid(3)
	send("text", link.Send, link.FlagText, "\xc3")
	receives("text", "\xc3")
	send("ws", link.Send, 0, "binary \xff")
	receives("ws", "binary \xff")
	send("ws", link.Kick, link.FlagText|link.FlagLast, "bye \xed\xa0\x80") // a surrogate
	receives("ws", "bye \uFFFD")
	receives("ws", "close 1000 kicked")
	invalid(4)
}

// Closes by a client because of what it was sent are counted apart.
func TestAClientClosesBecauseOfReceivedData(t *testing.T) {
	t.Parallel()
	var log logbook
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0"}}, Logger: log.logger()})
	for i, code := range []uint16{1000, 1001, 4000, 1002, 1003, 1007, 1009} {
		c := dialClient(t, g.Addrs()[0])
		c.write(c.codec.AppendClose(nil, code, "why"))
		c.receive()
		wait(t, "its end", func() bool { return g.Stats().ClosesByReason["peer"] == uint64(i+1) })
	}
	if n := g.Stats().PeerErrors; n != 4 {
		t.Errorf("%d counted, want 4", n)
	}
	var told []string
	for _, line := range log.lines() {
		if strings.Contains(line, "closed by the client because of received data") {
			told = append(told, line)
		}
	}
	if len(told) != 4 || !strings.Contains(told[2], "code=1007 reason=why") {
		t.Errorf("the log has %q", told)
	}
}

// greeter is a room that publishes messages under the names that clients came with, whatever those
// are.
var greeter = worker.Handler{
	Connect: func(_ context.Context, c worker.Call) error {
		c.MergeAttrs(map[string]string{"name": c.Request().Query("name")})
		c.Join("lobby")
		return nil
	},
	Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		name, _ := c.Attr("name")
		c.Publish(worker.Group("lobby"), worker.Text(name+": "+string(m.Data)))
		return nil
	},
}

// One client with a name or a line that is not UTF-8 closes no other client of its room.
func TestARoomOutlivesInvalidText(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0"},
		{URL: "text://127.0.0.1:0"}}})
	runWorker(t, g, greeter)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	bob, telnet := dialClient(t, g.Addrs()[0]), dialClient(t, g.Addrs()[1])
	eve := &fakeClient{t: t, conn: dial(t, hostport(g.Addrs()[0]))}
	eve.upgrade(hostport(g.Addrs()[0]), "/?name=%FF%FE")
	bob.say("I am here") // and has joined
	if got := bob.receive(); got != ": I am here" {
		t.Fatal(got)
	}
	eve.say("hello")
	if got := bob.receive(); got != "\uFFFD: hello" {
		t.Errorf("of a name that is not UTF-8 Bob receives %q", got)
	}
	telnet.write([]byte("caf\xe9\n"))
	if got := bob.receive(); got != ": caf\uFFFD" {
		t.Errorf("of a line that is not Bob receives %q", got)
	}
	bob.say("still here")
	if got := bob.receive(); got != ": still here" {
		t.Errorf("then Bob receives %q", got)
	}
}
