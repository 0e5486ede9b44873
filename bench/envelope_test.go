package bench_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/bench"
)

// stranger is the protocol of another server: it speaks first, wants a name, sends "?" now and
// then and expects "!". It may append that to an answer in the same message.
var stranger = bench.Envelope{
	Opening: []bench.Exchange{{Await: "who"}, {Send: "I am", Await: "then welcome"}},
	Out:     bench.Framing{Before: "say(", After: ")"}, In: bench.Framing{Before: "said[", After: "]"},
	Separator: "\n", Ping: "?", Pong: "!",
}

// TestRunEnvelope runs the echo against such a server: all messages of the load arrive, and no
// other message counts as one.
func TestRunEnvelope(t *testing.T) {
	t.Parallel()
	e := stranger
	r := run(t, short(bench.Options{Targets: []string{strangerServer(t, "welcome")}, Envelope: &e, InFlight: 4}))
	if r.Messages == 0 || r.Audit.Received != r.Audit.Expected {
		t.Errorf("%d messages, %+v", r.Messages, r.Audit)
	}
}

// TestRunEnvelopeRefuses has a wrong answer to the opening, answers with wrong
// framing, and modes with named clients.
func TestRunEnvelopeRefuses(t *testing.T) {
	t.Parallel()
	e := stranger
	_, err := bench.Run(t.Context(),
		short(bench.Options{Targets: []string{strangerServer(t, "go away")}, Envelope: &e}), nil)
	if err == nil || !strings.Contains(err.Error(), "go away") {
		t.Errorf("the server did not welcome: %v", err)
	}
	other := stranger
	other.In.Before = "sung["
	o := short(bench.Options{
		Targets: []string{strangerServer(t, "welcome")}, Envelope: &other, Drain: 50 * time.Millisecond,
	})
	if r, err := bench.Run(t.Context(), o, nil); err != nil || !r.Verdict.Failed || r.Audit.Changed == 0 {
		t.Errorf("the wrap was wrong: %v, %+v", err, r)
	}
	for name, o := range map[string]bench.Options{
		"mixed":  {Mix: []bench.WireFormat{{Codec: bench.Text, Targets: []string{"127.0.0.1:1"}}}},
		"push":   {Mode: bench.Push, Targets: []string{"127.0.0.1:1"}},
		"sluice": {},
	} {
		o.Envelope = &e
		if _, err := bench.Run(t.Context(), o, nil); !errors.Is(err, bench.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// strangerServer serves the protocol and returns its address. welcome is its answer to the opening.
func strangerServer(t *testing.T, welcome string) string {
	s := httptest.NewServer(strangerHandler(welcome))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func strangerHandler(welcome string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		_ = serveStranger(r.Context(), c, welcome) // it ends when the client does
	}
}

func serveStranger(ctx context.Context, c *websocket.Conn, welcome string) error {
	send := func(s string) error { return c.Write(ctx, websocket.MessageText, []byte(s)) }
	if err := send("who?"); err != nil {
		return err
	}
	if _, p, err := c.Read(ctx); err != nil || string(p) != "I am" {
		return errors.Join(err, send("then who?"))
	}
	if err := send("then " + welcome); err != nil {
		return err
	}
	for since := 0; ; since++ { // the last question
		kind, p, err := c.Read(ctx)
		if err != nil {
			return err
		}
		word, ours := strings.CutPrefix(strings.TrimSuffix(string(p), ")"), "say(")
		answer := "said[" + word + "]"
		switch {
		case string(p) == "!":
			since = -1
			continue
		case kind != websocket.MessageText || !ours:
			return errors.New("not the protocol")
		case since == 0:
			answer += "\n?"
		case since > 8: // only four were on their way when it asked
			return errors.New("the question was not answered")
		}
		if err := send(answer); err != nil {
			return err
		}
	}
}
