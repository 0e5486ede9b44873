package gateway_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

// netstring is a custom format: a length in digits, a colon, that many bytes and a comma.
// "5:hello,"
type netstring struct{}

var errNetstring = errors.New("not a netstring")

func (netstring) Decode(in []byte) (payload []byte, text bool, n int, err error) {
	colon := bytes.IndexByte(in[:min(len(in), 8)], ':')
	if colon < 0 {
		if len(in) >= 8 {
			return nil, false, 0, errNetstring
		}
		return nil, false, 0, nil
	}
	size, err := strconv.ParseUint(string(in[:colon]), 10, 31)
	if err != nil {
		return nil, false, 0, errNetstring
	}
	end := colon + 1 + int(size)
	switch {
	case len(in) <= end:
		return nil, false, 0, nil
	case in[end] != ',':
		return nil, false, 0, errNetstring
	}
	if size == 5 && string(in[colon+1:end]) == "panic" {
		panic("a format that is not finished")
	}
	return in[colon+1 : end], true, end + 1, nil
}

func (netstring) Append(dst, payload []byte, _ bool) []byte {
	if bytes.Contains(payload, []byte("unsayable")) {
		return dst
	}
	dst = append(strconv.AppendInt(dst, int64(len(payload)), 10), ':')
	return append(append(dst, payload...), ',')
}

// backwards is another one, whose messages are reversed netstrings. A publish to clients of both is
// encoded for each.
type backwards struct{ netstring }

func (b backwards) Append(dst, payload []byte, text bool) []byte {
	start := len(dst)
	dst = b.netstring.Append(dst, payload, text)
	for i, j := start, len(dst)-1; i < j; i, j = i+1, j-1 {
		dst[i], dst[j] = dst[j], dst[i]
	}
	return dst
}

// Clients of custom formats are served like all others.
func TestACodecOfOnesOwn(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Loops: 1, Listeners: []gateway.ListenerConfig{
		{URL: "tcp://127.0.0.1:0", Codec: netstring{}, MaxMessage: 1000},
		{URL: "tcp://127.0.0.1:0", Codec: backwards{}},
		{URL: "text://127.0.0.1:0"},
	}})
	runWorker(t, g, onMessage(func(c worker.Call, m worker.Message) {
		if strings.HasPrefix(string(m.Data), "all ") {
			c.Publish(worker.Everyone(), m)
			return
		}
		c.Send(m)
	}))
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	open := func(listener int) net.Conn {
		conn := dial(t, hostport(g.Addrs()[listener]))
		_ = conn.SetDeadline(time.Now().Add(patience))
		return conn
	}
	receives := func(conn net.Conn, want string) {
		t.Helper()
		got := make([]byte, len(want))
		if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Fatalf("receives %q, %v, want %q", got[:n], err, want)
		}
	}
	says := func(conn net.Conn, pieces ...string) {
		t.Helper()
		for _, p := range pieces {
			if _, err := conn.Write([]byte(p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ann, bob, telnet := open(0), open(1), open(2)
	says(ann, "2:hi,0:,3:you,", "4", ":", "mo", "re", ",") // many messages in one piece, one in many pieces
	receives(ann, "2:hi,0:,3:you,4:more,")
	says(bob, "2:hi,")
	receives(bob, ",ih:2")
	says(telnet, "here\n")
	receives(telnet, "here\n")
	says(telnet, "all of you\nall unsayable things\nall again\n")
	receives(ann, "10:all of you,9:all again,")
	receives(bob, ",uoy fo lla:01,niaga lla:9")
	receives(telnet, "all of you\nall unsayable things\nall again\n")
	if n := g.Stats().EncodeErrors; n != 2 {
		t.Errorf("%d messages that a format cannot carry were counted, want one for each of two formats", n)
	}

	for _, c := range []struct{ says, receives, reason string }{
		{"x:", `71:{"type":"sluice.closed","reason":"protocol","detail":"not a netstring"},`, "protocol"},
		{"1001:" + strings.Repeat("x", 1001) + ",",
			`88:{"type":"sluice.closed","reason":"too big","detail":"a message of more than 1000 bytes"},`, "too big"},
		{"5:panic,", "", "internal"},
	} {
		conn := open(0)
		before := g.Stats().ClosesByReason[c.reason]
		says(conn, c.says)
		if told, err := io.ReadAll(conn); string(told) != c.receives || err != nil && !ended(err) {
			t.Errorf("who says %.10q receives %q, %v", c.says, told, err)
		}
		wait(t, c.reason, func() bool { return g.Stats().ClosesByReason[c.reason] == before+1 })
	}
	says(ann, "5:still,")
	receives(ann, "5:still,")
}

// counting counts the messages that it encodes.
type counting struct {
	netstring
	encoded *atomic.Int32
}

func (c counting) Append(dst, payload []byte, text bool) []byte {
	c.encoded.Add(1)
	return c.netstring.Append(dst, payload, text)
}

// A broadcast is encoded once for all clients of a loop that have the same format.
func TestABroadcastIsEncodedOnce(t *testing.T) {
	t.Parallel()
	format := counting{encoded: new(atomic.Int32)}
	g, _ := start(t, gateway.Config{Loops: 1, Listeners: []gateway.ListenerConfig{{URL: "tcp://127.0.0.1:0",
		Codec: format}}})
	w := runWorker(t, g, worker.Handler{})
	var all []net.Conn
	for range 20 {
		all = append(all, dial(t, hostport(g.Addrs()[0])))
	}
	wait(t, "everybody", func() bool { s := g.Stats(); return s.Clients == len(all) && s.Pending == 0 })
	if err := w.Publish(t.Context(), worker.Everyone(), worker.Text("to all")); err != nil {
		t.Fatal(err)
	}
	for _, conn := range all {
		_ = conn.SetDeadline(time.Now().Add(patience))
		got := make([]byte, len("6:to all,"))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "6:to all," {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if n := format.encoded.Load(); n != 1 {
		t.Errorf("encoded %d times for %d clients", n, len(all))
	}
}
