package gateway

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// When the gateway closes a WebSocket, its worker gets the DETACH at once and the slot is free. The
// connection stays until the client has answered the close frame, and input before that is
// discarded. A client that does not answer is closed after a short wait.
func TestTheGatewaysCloseWaitsForTheClients(t *testing.T) {
	t.Parallel()
	answer := func(c *rushClient) { c.Send(c.ws.AppendClose(nil, 1000, "")) }
	for reason, want := range map[link.Reason]time.Duration{
		link.ReasonDraining: 5 * time.Second, link.ReasonKicked: 5 * time.Second, link.ReasonNoWorker: 5 * time.Second,
		link.ReasonInternal: 5 * time.Second,
		link.ReasonProtocol: time.Second, link.ReasonTooBig: time.Second, link.ReasonLimit: time.Second,
		link.ReasonIdle: time.Second,
	} {
		for name, end := range map[string]func(*rushClient){"answers": answer,
			"hangs up": func(c *rushClient) { c.HangUp() }, "says nothing": nil} {
			synctest.Test(t, func(t *testing.T) {
				r := newRush(t, Config{}, window)
				c := r.client("ws")
				c.s.pause(pausedByWorker) // it is read again
				c.s.end(reason)
				r.turn(10, c)
				r.turn(10, c)
				frame := c.Take()
				if len(frame) < 4 || frame[0] != 0x88 || c.Closed() {
					t.Fatalf("%v: it receives %q, closed %v", reason, frame, c.Closed())
				}
				if r.l.closingConns != 1 || c.s.delivery.State() != delivery.Forgotten || r.l.members.Len() > 0 {
					t.Errorf("%v: %d leave, phase %v, %d members", reason, r.l.closingConns, c.s.phase, r.l.members.Len())
				}
				for range 3 {
					c.Send(c.ws.Append(nil, bytes.Repeat([]byte("x"), 300_000), true))
					r.turn(10, c)
				}
				if c.Closed() || len(r.received[c.s.delivery.Slot]) > 0 {
					t.Fatalf("%v: closed %v, the worker receives %d messages", reason, c.Closed(), len(r.received[c.s.delivery.Slot]))
				}
				began := time.Now()
				if end != nil {
					end(c)
				}
				for c.Read(128 << 10) {
				}
				for r.turn(0); !c.Closed() && time.Since(began) < time.Minute; r.turn(0) {
					time.Sleep(10 * time.Millisecond)
				}
				took := time.Since(began)
				if end != nil && took > 0 || end == nil && (took < want-100*time.Millisecond || took > want+300*time.Millisecond) {
					t.Errorf("%v, it %s: closed after %v", reason, name, took)
				}
				timeouts := uint64(0)
				if end == nil {
					timeouts = 1
				}
				if r.l.closingConns != 0 || r.l.stats.CloseTimeouts != timeouts || r.l.stats.Closed != 1 {
					t.Errorf("%v, it %s: %d leave, %d timeouts, %d closed", reason, name, r.l.closingConns, r.l.stats.CloseTimeouts,
						r.l.stats.Closed)
				}
			})
		}
	}
}

// A client of another protocol gets a message when the gateway drains, and may close the connection
// itself within a second. A client closed for another reason sees the end at once.
func TestADrainLetsClientsCloseThemselves(t *testing.T) {
	t.Parallel()
	for _, reason := range []link.Reason{link.ReasonDraining, link.ReasonKicked, link.ReasonTooBig} {
		for _, closes := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				r := newRush(t, Config{}, window)
				c := r.client("text")
				c.s.end(reason)
				r.turn(10, c)
				c.Take()
				if c.Closed() != (reason != link.ReasonDraining) {
					t.Fatalf("%v: closed %v", reason, c.Closed())
				}
				began := time.Now()
				c.Send([]byte("and another thing\n"))
				c.Read(1 << 10)
				if closes {
					c.HangUp()
					c.Read(1 << 10)
				}
				for r.turn(10); !c.Closed() && time.Since(began) < time.Minute; r.turn(10) {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(began); closes && took > 0 || took > 1300*time.Millisecond ||
					!closes && reason == link.ReasonDraining && took < 900*time.Millisecond {
					t.Errorf("%v, it closes %v: the end comes after %v", reason, closes, took)
				}
				if len(r.received[c.s.delivery.Slot]) > 0 || r.l.closingConns > 0 || r.l.stats.CloseTimeouts > 0 {
					t.Errorf("%v: the worker receives %q, %d leave, %d timeouts", reason, r.received[c.s.delivery.Slot],
						r.l.closingConns, r.l.stats.CloseTimeouts)
				}
			})
		}
	}
}

// A client that closes its side while its worker does not answer is closed after a timeout. Its
// messages are still handled.
func TestAHalfClosedClientWaitsForAnswersNotForEver(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "ws"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRush(t, Config{}, window)
			c := r.client(format)
			c.say("one")
			c.HangUp()
			began := time.Now()
			c.Read(1 << 10)
			c.Read(1 << 10)
			for r.turn(0); !c.Closed() && time.Since(began) < time.Hour; r.turn(0) {
				c.Take()
				r.worker.Send(link.Append(nil, &link.Frame{Type: link.Pong})) // it is still open
				r.worker.Read(1 << 10)
				time.Sleep(100 * time.Millisecond)
			}
			if took := time.Since(began); took < halfCloseTimeout || took > halfCloseTimeout+time.Second {
				t.Errorf("%s: closed after %v", format, took)
			}
			r.turn(10)
			if len(r.received[c.s.delivery.Slot]) != 1 || r.l.stats.HalfClosesUnanswered != 1 || r.l.stats.Closed != 1 ||
				r.l.closingConns != 0 {
				t.Errorf("%s: the worker receives %v, %d unanswered, %d closed", format, r.received[c.s.delivery.Slot],
					r.l.stats.HalfClosesUnanswered, r.l.stats.Closed)
			}
		})
	}
}

// Input that comes with the client's end is answered: pings, close frames, and messages that are
// rejected.
func TestWhatComesWithTheEndIsAnswered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send func(*codec.WebSocket) []byte
		want string
	}{
		"ping":              {func(ws *codec.WebSocket) []byte { return ws.AppendPing(nil) }, "\x8a\x00\x88\x06\x03\xe8peer"},
		"close":             {func(ws *codec.WebSocket) []byte { return ws.AppendClose(nil, 1000, "") }, "\x88\x02\x03\xe8"},
		"no close, nothing": {func(*codec.WebSocket) []byte { return nil }, "\x88\x06\x03\xe8peer"},
		"a broken frame":    {func(*codec.WebSocket) []byte { return []byte{0xff, 0xff} }, "\x88\x0e\x03\xeaframe header"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRush(t, Config{}, window)
			w := r.client("ws")
			w.Send(c.send(w.ws))
			w.HangUp()
			for w.Read(1 << 10) { // before the turn ends
			}
			r.turn(10)
			for w.Read(1 << 10) { // what was not read during the turn
			}
			r.turn(10)
			if got := string(w.Take()); got != c.want {
				t.Errorf("%s: it receives %q", name, got)
			}
			if !w.Closed() || r.l.closingConns != 0 {
				t.Errorf("%s: closed %v, %d leave", name, w.Closed(), r.l.closingConns)
			}
		})
	}
}

// Output to a half-closed connection is written, slowly if its client reads slowly.
func TestAHalfClosedClientReadsSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{}, window)
		c := r.client("text")
		c.Limit(4 << 10)
		c.say("one")
		c.Read(1 << 10)
		c.s.deliver(bytes.Repeat([]byte("a"), 100_000), link.FlagText, engine.SendOptions{})
		r.turn(0)
		c.HangUp()
		c.Read(1 << 10)
		c.s.deliver(bytes.Repeat([]byte("b"), 100_000), link.FlagText, engine.SendOptions{})
		r.turn(10)
		var got []byte
		for began := time.Now(); !c.Closed() && time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
			got = append(got, c.Take()...)
			r.turn(10)
		}
		if want := string(bytes.Repeat([]byte("a"), 100_000)) + "\n" + string(bytes.Repeat([]byte("b"), 100_000)) +
			"\n"; string(got) != want {
			t.Errorf("it receives %d bytes of %d", len(got), len(want))
		}
	})
}

// A client may be closed just after its connection has ended, because its last message did not fit
// or it was closed at once. It then leaves nothing for which a drain would wait.
func TestABrokenClientDoesNotLeave(t *testing.T) {
	t.Parallel()
	big := make([]byte, 10<<20) // the output limit of a client is 16 MiB
	_, _ = rand.NewChaCha8([32]byte{}).Read(big)
	big = bytes.ReplaceAll(big, []byte("\n"), []byte("x"))
	for name, breaks := range map[string]func(*session){
		"too much": func(s *session) {
			s.deliver(big, 0, engine.SendOptions{})
			s.deliver(big, 0, engine.SendOptions{})
		},
		"cut": func(s *session) { s.closeNow(link.ReasonKicked) },
	} {
		for _, format := range []string{"text", "ws"} {
			synctest.Test(t, func(t *testing.T) {
				r := newRush(t, Config{}, window)
				c := r.client(format)
				c.Limit(1)
				breaks(c.s)
				c.s.end(link.ReasonReplaced)
				r.turn(10)
				if r.l.closingConns != 0 || r.l.clients() != 0 || r.l.stats.Closed != 1 {
					t.Errorf("%s, %s: %d leave, %d are there, %d were closed", name, format, r.l.closingConns, r.l.clients(),
						r.l.stats.Closed)
				}
			})
		}
	}
}
