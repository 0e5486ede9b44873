package bench_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

const loginScript = `# everybody has a token of their own
send hello
send login {line} as {conn}

expect /^welcome/
capture user /user=(\w+)/
capture room /room=(\d+)/
send join {room}
expect joined {room
`

// bouncer wants the login above, then messages with the values it
// sent, and answers in another form.
func bouncer(g *guest) error {
	want := func(re string) ([]string, error) {
		said, err := g.receive()
		if err != nil {
			return nil, err
		}
		m := regexp.MustCompile("^" + re + "$").FindStringSubmatch(said)
		if m == nil {
			return nil, errors.Join(fmt.Errorf("%q is not %s", said, re), g.say("get out: "+said))
		}
		return m, nil
	}
	if _, err := want("hello"); err != nil {
		return err
	}
	m, err := want(`login t(\d+) as (\d+)`)
	if err == nil {
		err = g.say("welcome user=u" + m[1] + " room=7")
	}
	if err == nil {
		_, err = want("join 7")
	}
	if err == nil {
		err = g.say("joined {room} 7")
	}
	if err != nil {
		return err
	}
	for seq := 0; ; seq++ {
		said, err := want(fmt.Sprintf(`u%s@7 %d \d{13}: (.*) from %s`, m[1], seq, m[2]))
		if err == nil {
			err = g.say(fmt.Sprintf("received %d of %s: %s", seq, m[2], said[1]))
		}
		if err != nil {
			return err
		}
	}
}

func tokens(t *testing.T) string {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "t%d\n", 100+i)
	}
	return file(t, b.String())
}

func envelope(t *testing.T, message, reply, login string) *bench.Envelope {
	t.Helper()
	e, err := bench.ParseEnvelope(message, reply, login)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// few is a run with few connections, for servers that check each message.
func few(o bench.Options) bench.Options {
	o = short(o)
	o.Conns, o.Window = 8, 300*time.Millisecond
	return o
}

const (
	bouncerMessage = "{user}@{room} {seq} {time}: {message} from {conn}"
	bouncerReply   = "received {seq} of {conn}: {message}"
)

// A login is made on each connection, with its own token. What it captures is in every message,
// over any codec, also on short-lived connections.
func TestLogin(t *testing.T) {
	t.Parallel()
	for _, mode := range []bench.Mode{bench.Echo, bench.Churn} {
		for _, c := range []bench.Codec{bench.Text, bench.Frame, bench.WebSocket} {
			t.Run(string(mode)+"/"+string(c), func(t *testing.T) {
				t.Parallel()
				r := run(t, few(bench.Options{
					Mode: mode, Codec: c, Targets: []string{host(t, c, bouncer)}, Data: tokens(t), InFlight: 3, PerConn: 4,
					Envelope: envelope(t, bouncerMessage, bouncerReply, loginScript),
				}))
				if r.Messages == 0 || r.Audit.Received != r.Audit.Expected {
					t.Errorf("%d messages, %+v", r.Messages, r.Audit)
				}
			})
		}
	}
}

// A server sends other messages, in the login and later. Those that match --ignore are ignored;
// the others are not answers.
func TestIgnore(t *testing.T) {
	t.Parallel()
	gossip := func(g *guest) error {
		if err := g.say("* somebody came"); err != nil {
			return err
		}
		said, err := g.receive()
		for n := 0; err == nil; n++ {
			if n%3 == 1 {
				err = g.say("* somebody left")
			}
			if err == nil {
				err = g.say(said)
			}
			if err == nil {
				said, err = g.receive()
			}
		}
		return err
	}
	for name, c := range map[string]struct{ message, reply string }{
		"bare": {}, "template": {"say {message}", ""}, "any": {"say {message}", "any"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := envelope(t, c.message, c.reply, "send hello\nexpect hello")
			e.Ignore = `^\* somebody (came|left)$`
			o := few(bench.Options{
				Codec: bench.Text, Targets: []string{host(t, bench.Text, gossip)}, Envelope: e, InFlight: 2,
				Drain: 100 * time.Millisecond,
			})
			r := run(t, o)
			a, reasons := r.Audit, strings.Join(r.Verdict.Reasons, "\n")
			told := strings.Contains(reasons, fmt.Sprint(a.Ignored, " messages that arrived were ignored"))
			if r.Messages == 0 || a.Ignored < a.Sent/3 || a.Received != a.Sent || !told {
				t.Errorf("%d messages, %+v, %q", r.Messages, r.Audit, r.Verdict.Reasons)
			}
			if c.reply == "any" {
				return
			}
			e.Ignore = "came"
			r, err := bench.Run(t.Context(), o, nil)
			if err != nil || r.Audit.Unexpected+r.Audit.Changed == 0 || !r.Verdict.Failed {
				t.Errorf("%v, %+v", err, r)
			}
		})
	}
}

// A login alone does not change the messages.
func TestLoginAlone(t *testing.T) {
	t.Parallel()
	addr := host(t, bench.JSONLines, func(g *guest) error {
		if said, err := g.receive(); err != nil || said != `{"token":1}` {
			return errors.Join(err, errors.New("no token"))
		}
		for {
			if err := echo(g); err != nil {
				return err
			}
		}
	})
	r := run(t, few(bench.Options{
		Codec: bench.JSONLines, Targets: []string{addr}, Envelope: envelope(t, "", "", `send {"token":1}`),
	}))
	if r.Messages == 0 {
		t.Error("no messages")
	}
}

// In modes with named clients a client logs in and then sends its name, also when it reconnects.
func TestLoginModes(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "ws://127.0.0.1:0", "--inner", "127.0.0.1:0")
	proctest.Start(t, nil, bin, "bench", "serve", "--worker", "--gateway", gateway.Addrs["inner"])
	// The modes run one after the other, because a broadcast reaches the clients of all.
	for _, mode := range []bench.Mode{bench.Push, bench.Rooms, bench.Broadcast, bench.Chat} {
		o := few(bench.Options{
			Mode: mode, RoomSize: 4, Targets: []string{gateway.Addrs["ws"]},
			Envelope: envelope(t, "", "", "send ?token {conn}\nexpect ?token"),
		})
		o.Think = time.Millisecond
		if r := run(t, o); r.Messages == 0 || mode == bench.Chat && r.Actions.Said > 1000 && r.Actions.Reconnected == 0 {
			t.Errorf("%s: %d messages, %+v", mode, r.Messages, r.Actions)
		}
	}
}

// A wrong answer ends the run while connections open, and is counted on short-lived connections. A
// missing answer ends the run too.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"prefix": "send x\nexpect welcome", "match": "send x\nexpect /welcome/",
		"capture": "send x\nexpect\ncapture a /a=(.*)/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := few(bench.Options{Targets: []string{host(t, bench.WebSocket, bouncer)}, Envelope: envelope(t, "", "", script)})
			if _, err := bench.Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), `"get out: x"`) {
				t.Error(err)
			}
			o.Mode, o.Window = bench.Churn, 200*time.Millisecond
			r, err := bench.Run(t.Context(), o, nil)
			if err != nil || !r.Verdict.Failed || !slices.ContainsFunc(r.Errors, func(e bench.ErrorCount) bool {
				return e.Kind == "login" && e.Count > 0 && strings.Contains(e.Example, "get out")
			}) {
				t.Errorf("%v, %+v", err, r)
			}
		})
	}
}

// A mistake is refused with its line.
func TestLoginScriptRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ message, reply, login, want string }{
		{login: "say x", want: "line 1"},
		{login: "\n# x\ncapture a /b/", want: "line 3"},
		{login: "expect x\nsend", want: "line 2"},
		{login: "send x\ncapture a /(b)/", want: "line 2"},
		{login: "expect x\ncapture a b", want: "line 2"},
		{message: "x", want: "{message}"},
		{message: "{message}{message}", want: "{message}"},
		{message: "{message}", reply: "ok", want: "{message}"},
	} {
		_, err := bench.ParseEnvelope(c.message, c.reply, c.login)
		if !errors.Is(err, bench.ErrOptions) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if e, err := bench.ParseEnvelope("", "", ""); e != nil || err != nil {
		t.Errorf("%+v, %v", e, err)
	}
	for _, c := range []struct {
		message, reply, login, ignore string
		bench.Options
	}{
		{login: "expect x\ncapture a /b/"},
		{login: "expect /(/"},
		{ignore: "("},
		{login: "expect x\ncapture seq /(b)/"},
		{login: "expect x\ncapture a-b /(b)/"},
		{login: "send {seq}"},
		{login: "send {later}\nexpect\ncapture later /(.*)/"},
		{message: "{message} {nobody}"},
		{message: "{message} {line}"},
		{message: "{message}\n", Options: bench.Options{Codec: bench.Text}},
		{message: "x{message}", Options: bench.Options{Codec: bench.JSON}},
		{message: `{"by":{conn},"text":{message}}`, Options: bench.Options{Codec: bench.JSONLines}},
		{message: `{"n":{seq}`, reply: "any", Options: bench.Options{Codec: bench.JSONLines}},
		{message: "\xff{message}"},
		{message: "x{message}", Options: bench.Options{Mode: bench.Rooms}},
		{message: "{ping}", reply: "any"},
		{reply: "any", Options: bench.Options{Mode: bench.Broadcast}},
		{message: "{conn}{seq} {message}"},
		{message: "{message}", reply: "{message} {time}0"},
		{
			message: "{message}", reply: "{name} {message}", login: "expect\ncapture name /(.*)/",
			Options: bench.Options{Mode: bench.Broadcast},
		},
	} {
		o := c.Options
		o.Targets, o.Envelope = []string{"127.0.0.1:1"}, envelope(t, c.message, c.reply, c.login)
		if c.ignore != "" {
			o.Envelope = &bench.Envelope{Ignore: c.ignore}
		}
		if _, err := bench.Run(t.Context(), o, nil); !errors.Is(err, bench.ErrOptions) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Messages with a template come back as they were sent, over every codec.
func TestMessageTemplate(t *testing.T) {
	t.Parallel()
	for _, c := range bench.Codecs {
		for name, message := range map[string]string{
			"fixed":    `{"type":"say","text":"{message}"}`,
			"numbered": `{"from":{conn},"n":{seq},"at":{time},"text":"{message}"}`,
		} {
			t.Run(string(c)+"/"+name, func(t *testing.T) {
				t.Parallel()
				r := run(t, few(bench.Options{
					Codec: c, Targets: []string{host(t, c, echo)}, InFlight: 3, Envelope: envelope(t, message, "", ""),
				}))
				if r.Messages == 0 || r.Audit.Received != r.Audit.Expected {
					t.Errorf("%d messages, %+v", r.Messages, r.Audit)
				}
			})
		}
	}
}

// A reply with another number, or in another form, is not the message.
func TestMessageTemplateWrong(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string][2]string{
		"number": {`"n":`, `"n":1`}, "zero": {`"n":`, `"n":0`}, "time": {`"at":1`, `"at":2`},
		"shape": {`"text"`, `"Text"`}, "more": {"}", "} "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := host(t, bench.Text, func(g *guest) error {
				said, err := g.receive()
				if err != nil {
					return err
				}
				return g.say(strings.Replace(said, replace[0], replace[1], 1))
			})
			r, err := bench.Run(t.Context(), few(bench.Options{
				Codec: bench.Text, Targets: []string{addr}, Drain: -1,
				Envelope: envelope(t, `{"n":{seq},"at":{time},"text":"{message}"}`, "", ""),
			}), nil)
			unreadable := func(e bench.ErrorCount) bool { return e.Kind == "unreadable" }
			if err != nil || !r.Verdict.Failed || !slices.ContainsFunc(r.Errors, unreadable) {
				t.Errorf("%v, %+v", err, r)
			}
		})
	}
}

// With --reply any the k-th message that arrives answers the k-th that was sent, and the report
// says that nothing is audited.
func TestReplyAny(t *testing.T) {
	t.Parallel()
	const wait = 5 * time.Millisecond
	for _, mode := range []bench.Mode{bench.Echo, bench.Churn, bench.Connect} {
		for _, rate := range []float64{0, 200} {
			if mode == bench.Churn && rate > 0 {
				continue
			}
			t.Run(fmt.Sprint(mode, "/", rate), func(t *testing.T) {
				t.Parallel()
				addr := host(t, bench.WebSocket, func(g *guest) error {
					if said, err := g.receive(); err != nil || said != `{"ping":1}` {
						return errors.Join(err, errors.New("no ping"))
					}
					time.Sleep(wait) // what the server takes
					return g.say("ok")
				})
				r := run(t, few(bench.Options{
					Mode: mode, Rate: rate, Targets: []string{addr}, InFlight: 2, PerConn: 3,
					Envelope: envelope(t, `{"ping":1}`, "any", ""),
				}))
				if r.Messages == 0 || r.Latency.P50 < wait.Microseconds() {
					t.Errorf("%d messages, latency %+v", r.Messages, r.Latency)
				}
				if !slices.ContainsFunc(r.Verdict.Reasons, func(s string) bool { return strings.HasPrefix(s, "not audited") }) {
					t.Errorf("%q", r.Verdict.Reasons)
				}
			})
		}
	}
	mute := host(t, bench.Text, func(g *guest) error { _, err := g.receive(); return err })
	o := few(bench.Options{
		Codec: bench.Text, Targets: []string{mute}, InFlight: 1<<16 + 10, Drain: -1, Envelope: envelope(t, "x", "any", ""),
	})
	o.Conns = 1
	r, err := bench.Run(t.Context(), o, nil)
	if err != nil || len(r.Errors) != 1 || !r.Verdict.Failed ||
		r.Errors[0].Kind != "unanswered" || r.Errors[0].Count != 1 {
		t.Errorf("more messages without an answer than can wait: %v, %+v", err, r)
	}
	addr := host(t, bench.Text, func(g *guest) error { return errors.Join(echo(g), g.say("more")) })
	r, err = bench.Run(t.Context(), few(bench.Options{
		Codec: bench.Text, Targets: []string{addr}, Rate: 100, Envelope: envelope(t, "", "any", ""),
	}), nil)
	if err != nil || r.Audit.Unexpected == 0 || !r.Verdict.Failed {
		t.Errorf("more answers than messages: %v, %+v", err, r)
	}
}
