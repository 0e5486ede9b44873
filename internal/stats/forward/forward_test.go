package forward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/internal/stats/forward"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// node is the node that keeps. answer says what it answers to a request with reports. It may block.
type node struct {
	answer   func(request int, reports []string) int
	mu       sync.Mutex
	reports  []string // guarded by mu: those of all requests
	requests int      // guarded by mu
	tokens   []string // guarded by mu
}

// asked returns how many requests have come.
func (n *node) asked() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.requests
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	batch, err2 := stats.SplitBatch(body)
	if err = errors.Join(err, err2); err != nil || r.Method != http.MethodPost || r.URL.Path != "/api/v1/stats/reports" ||
		r.Header.Get("Content-Type") != "application/octet-stream" {
		http.Error(w, fmt.Sprint(r.Method, r.URL, err), http.StatusTeapot)
		return
	}
	var reports []string
	for _, b := range batch {
		reports = append(reports, string(b))
	}
	n.mu.Lock()
	n.requests++
	request := n.requests
	n.tokens = append(n.tokens, r.Header.Get("Authorization"))
	n.mu.Unlock()
	status := http.StatusNoContent
	if n.answer != nil {
		status = n.answer(request, reports)
	}
	if status == http.StatusNoContent {
		n.mu.Lock()
		n.reports = append(n.reports, reports...)
		n.mu.Unlock()
	}
	if status == 0 {
		panic(http.ErrAbortHandler) // the connection is cut
	}
	if status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"detail":"because"}`))
		return
	}
	w.WriteHeader(status)
}

// sender returns a sender to a node.
func sender(t *testing.T, n *node, change func(*forward.Config)) (*forward.Sender, *strings.Builder) {
	t.Helper()
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	log := new(strings.Builder)
	cfg := forward.Config{URL: server.URL, Logger: slog.New(slog.NewTextHandler(log, nil))}
	if change != nil {
		change(&cfg)
	}
	s, err := forward.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, log
}

// All reports that are given at once arrive once, with few requests.
func TestReportsGather(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	let := sync.OnceFunc(func() { close(hold) })
	n := &node{answer: func(request int, _ []string) int {
		if request == 1 {
			<-hold
		}
		return http.StatusNoContent
	}}
	s, _ := sender(t, n, func(c *forward.Config) { c.Token = func() (string, error) { return "secret", nil } })
	var all sync.WaitGroup
	defer all.Wait()
	defer let() // the server ends after its handlers
	for i := range 100 {
		all.Go(func() {
			if err := s.Take(t.Context(), fmt.Appendf(nil, "%02d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	await(t, "reports that wait", func() bool { return s.Stats().Waiting >= 50 })
	let()
	all.Wait()
	slices.Sort(n.reports)
	if len(n.reports) != 100 || len(slices.Compact(n.reports)) != 100 || n.requests > 51 {
		t.Errorf("%d reports with %d requests", len(n.reports), n.requests)
	}
	if st := s.Stats(); st.Sent != 100 || st.Failures != 0 || n.tokens[0] != "Bearer secret" {
		t.Errorf("%+v, tokens %q", st, n.tokens)
	}
}

// An answer other than 204, and a connection that is cut, are errors, after which the caller gives
// the report again. The log says both once.
func TestErrors(t *testing.T) {
	t.Parallel()
	statuses := []int{503, 0, 401, 500, 302, 204, 204}
	n := &node{answer: func(request int, _ []string) int {
		if request > len(statuses) {
			return http.StatusTeapot // the count of failures tells
		}
		return statuses[request-1]
	}}
	s, log := sender(t, n, nil)
	for i := range 5 {
		if err := s.Take(t.Context(), []byte("report")); err == nil {
			t.Errorf("request %d: no error", i+1)
		}
	}
	for range 2 {
		if err := s.Take(t.Context(), []byte("report")); err != nil {
			t.Error(err)
		}
	}
	if st := s.Stats(); st.Failures != 5 || st.Sent != 2 || st.Refused != 0 {
		t.Errorf("%+v", st)
	}
	s.Close()
	if text := log.String(); strings.Count(text, "level=WARN") != 1 || strings.Count(text, "kept again") != 1 ||
		!strings.Contains(text, "503 Service Unavailable") || !strings.Contains(text, "because") {
		t.Errorf("the log says\n%s", text)
	}
}

// A report that the other node does not understand is lost and told, and does not keep others from
// being sent.
func TestRefused(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	let := sync.OnceFunc(func() { close(hold) })
	n := &node{answer: func(request int, reports []string) int {
		if request == 1 {
			<-hold
		}
		if slices.Contains(reports, "bad") {
			return http.StatusBadRequest
		}
		return http.StatusNoContent
	}}
	s, log := sender(t, n, nil)
	var all sync.WaitGroup
	defer all.Wait()
	defer let() // the server ends after its handlers
	take := func(report string) {
		all.Go(func() {
			if err := s.Take(t.Context(), []byte(report)); err != nil {
				t.Errorf("%s: %v", report, err)
			}
		})
	}
	take("first")
	await(t, "its request", func() bool { return n.asked() == 1 })
	for _, report := range []string{"a", "bad", "b", "c"} { // they go together
		take(report)
	}
	await(t, "reports that wait", func() bool { return s.Stats().Waiting == 4 })
	let()
	all.Wait()
	slices.Sort(n.reports)
	if st := s.Stats(); fmt.Sprint(n.reports) != "[a b c first]" || st.Refused != 1 || st.Sent != 4 {
		t.Errorf("%q, %+v", n.reports, st)
	}
	s.Close()
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log says %q", log)
	}
}

// While the other node is away, reports fail. When it is there again, they are sent.
func TestOutage(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	s, _ := sender(t, &node{}, func(c *forward.Config) { c.URL = "http://" + addr })
	if err := s.Take(t.Context(), []byte("report")); err == nil {
		t.Error("no error")
	}
	n := &node{}
	server := httptest.NewUnstartedServer(n)
	_ = server.Listener.Close()
	if server.Listener, err = net.Listen("tcp", addr); err != nil {
		t.Skipf("the port was taken by another process: %v", err)
	}
	server.Start()
	defer server.Close()
	await(t, "the report", func() bool { return s.Take(t.Context(), []byte("report")) == nil })
	if len(n.reports) != 1 {
		t.Errorf("%q", n.reports)
	}
}

// A token that cannot be read is an error. A caller leaves when its context ends, and all leave
// when the sender is closed.
func TestTakeEnds(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	s, _ := sender(t, &node{}, func(c *forward.Config) {
		c.Token = func() (string, error) {
			if broken.Load() {
				return "", errors.New("no token")
			}
			return "x", nil
		}
	})
	broken.Store(true)
	if err := s.Take(t.Context(), []byte("r")); err == nil || err.Error() != "no token" {
		t.Errorf("%v", err)
	}
	hold := make(chan struct{})
	defer close(hold)
	s, _ = sender(t, &node{answer: func(int, []string) int { <-hold; return 204 }}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Take(ctx, []byte("r")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ended := make(chan error)
	go func() { ended <- s.Take(t.Context(), []byte("r")) }()
	await(t, "the report", func() bool { return s.Stats().Waiting == 1 })
	s.Close()
	if err := <-ended; !errors.Is(err, forward.ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := s.Take(t.Context(), []byte("r")); !errors.Is(err, forward.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"http://a:1": true, "https://10.0.0.1:9090/": true, "https://[::1]:9090": true, "http://name": true,
		"": false, "a:1": false, "ftp://a:1": false, "http://": false, "http://a:1/x": false, "http://u:p@a:1": false,
		"http://a:1?x=1": false, "http://a b": false,
	} {
		if err := forward.CheckURL(url); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	if s, err := forward.New(forward.Config{URL: "a:1"}); err == nil {
		t.Error(s)
	}
}

// await waits for a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}
