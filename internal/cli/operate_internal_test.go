package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway/admin"
)

// The flags win over the environment, and an address needs no scheme.
func TestAdminAddress(t *testing.T) {
	for _, c := range []struct{ flag, env, want string }{
		{"", "", "http://127.0.0.1:9090"},
		{"10.0.0.1:9090", "http://other:1", "http://10.0.0.1:9090"},
		{"", "https://other:1/", "https://other:1"},
		{"ftp://host:1", "", ""},
		{"http://host:1/path", "", ""},
		{"http://", "", ""},
	} {
		t.Setenv(adminEnv, c.env)
		a := adminClient{url: c.flag}
		err := a.prepare()
		if (err == nil) != (c.want != "") || err == nil && a.url != c.want {
			t.Errorf("%+v: %q, %v", c, a.url, err)
		}
	}
}

// The names and texts of others do nothing to a terminal.
func TestOneLine(t *testing.T) {
	t.Parallel()
	if got, want := oneLine(" a\x1b[2Jb\nc\td\u202e \u00e4"), "a\ufffd[2Jb c d\ufffd \u00e4"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A screen of top has the rates since the screen before.
func TestRender(t *testing.T) {
	t.Parallel()
	at := time.Now()
	first := sample{at: at, status: admin.Status{Name: "gw", Ready: true, Uptime: 10, Clients: 5, Workers: 1,
		Totals: admin.Totals{MessagesIn: 100, MessagesOut: 50},
		Loops:  []admin.LoopStatus{{Clients: 5, Totals: admin.Totals{MessagesIn: 100}}}}}
	second := first
	second.at, second.status.Uptime = at.Add(2*time.Second), 12
	second.status.Totals = admin.Totals{MessagesIn: 300, MessagesOut: 52}
	second.status.Loops = []admin.LoopStatus{{Clients: 5, Queued: 20 << 10, Totals: admin.Totals{MessagesIn: 140}}}
	second.workers.Workers = []admin.Worker{{ID: "0123456789", Name: "w\x1b", Draining: true}}
	second.slow.Clients = []admin.Client{{ID: "slowone", OutputBytes: 5 << 20, Since: at}}
	if screen := render(&sample{}, &first); !strings.Contains(screen, "messages a second: 0 in, 0 out") {
		t.Errorf("the first screen:\n%s", screen)
	}
	screen := render(&first, &second)
	for _, want := range []string{"messages a second: 100 in, 1 out", "0     5        20    0", "20 KiB", "w\ufffd",
		"01234567 ", "draining", "slowone", "5120 KiB"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the screen lacks %q:\n%s", want, screen)
		}
	}
	restarted := second
	restarted.status.Uptime, restarted.status.Totals.MessagesIn = 1, 7
	if screen := render(&second, &restarted); !strings.Contains(screen, "messages a second: 0 in") {
		t.Errorf("after a restart:\n%s", screen)
	}
}

// A screen fits into the terminal, and ends the lines of the one before.
func TestFit(t *testing.T) {
	t.Parallel()
	if got, want := fit("first\nsecond\nthird\n", 4, 3), "\x1b[Hfirs\x1b[K\r\nseco\x1b[K\r\n\x1b[J"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
