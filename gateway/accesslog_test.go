package gateway_test

import (
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
)

// lineLog collects the lines of a log.
type lineLog struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *lineLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// Each connection has a line in the access log, with the path of its request and without its query.
// Probes have none.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	var log lineLog
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a page") })
	g, _ := start(t, gateway.Config{
		AccessLog: slog.New(slog.NewTextHandler(&log, nil)),
		Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0/chat", Page: page}, {URL: "text://127.0.0.1:0"}},
	})
	web, lines := g.Addrs()[0], g.Addrs()[1]
	host := "Host: " + hostport(web)
	for i, c := range []struct {
		do   func()
		want string // of the line, without time, remote and listener
	}{
		{func() { request(t, web, "/chat?token=x", true, host) },
			`path=/chat status=101 client=\w+ uid="" took=\d+m?s reason=(peer|network)`},
		{func() { request(t, web, "/other?token=x", true, host) }, `path=/other status=404 took=\d+m?s reason=handshake`},
		{func() { request(t, web, "/?token=x", false, host) }, `path=/ status=200 took=\d+m?s reason=(peer|network)`},
		{func() { ask(t, web, "nonsense?token=x\r\n\r\n") }, `path="" status=400 took=\d+m?s reason=handshake`},
		{func() { _ = dial(t, hostport(web)).Close() }, `path="" status=0 took=\d+m?s reason=(peer|network)`},
		{func() { _ = dial(t, hostport(lines)).Close() }, `client=\w+ uid="" took=\d+m?s reason=(peer|network)`},
	} {
		request(t, web, "/readyz", false, host)
		c.do()
		wait(t, "the line "+c.want, func() bool { return len(log.all()) > i })
		if all := log.all(); len(all) != i+1 ||
			!regexp.MustCompile(`msg=access remote=127\.0\.0\.1:\d+ listener=\S+ `+c.want+"\n$").MatchString(all[i]) {
			t.Errorf("line %d: %q\nwant %s", i, all, c.want)
		}
	}
	if strings.Contains(strings.Join(log.all(), ""), "token") {
		t.Error("a query is in the log")
	}
}

// The access log can be switched on and off. A connection that began in it has its line.
func TestSetAccessLog(t *testing.T) {
	t.Parallel()
	var log lineLog
	g, stop := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	var logged string
	for i, to := range []*slog.Logger{nil, slog.New(slog.NewTextHandler(&log, nil)), nil} {
		g.SetAccessLog(to, 1)
		c := dial(t, hostport(g.Addrs()[0]))
		wait(t, "a client", func() bool { return g.Stats().Opened == uint64(i+1) })
		if to != nil {
			logged = c.LocalAddr().String()
		}
		defer c.Close()
	}
	stop()
	if all := log.all(); len(all) != 1 || !strings.Contains(all[0], "remote="+logged+" ") {
		t.Errorf("%q, want the line of %s", all, logged)
	}
}

// Of so many connections one is in the access log.
func TestAccessLogSample(t *testing.T) {
	t.Parallel()
	var log lineLog
	const each, all = 8, 400
	g, stop := start(t, gateway.Config{AccessLog: slog.New(slog.NewTextHandler(&log, nil)), AccessLogSample: each,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	for range all {
		_ = dial(t, hostport(g.Addrs()[0])).Close()
	}
	wait(t, "all have come", func() bool { return g.Stats().Loops[0].Accepted == all })
	stop()
	if n := len(log.all()); n == 0 || n > all/2 {
		t.Errorf("%d of %d connections are in the log, about %d are expected", n, all, all/each)
	}
}
