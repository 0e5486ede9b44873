package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
)

const (
	maxWaiting  = maxAlerts // notifications of a webhook: all may fire at once
	maxBatch    = 20        // alerts in a request
	postTimeout = 10 * time.Second
	firstRetry  = time.Second
	lastRetry   = 5 * time.Minute
	maxAnswer   = 4 << 10 // bytes of an answer that are read
)

// sender sends the notifications of one webhook, in order, on a goroutine of its own. It begins
// with the first one.
type sender struct {
	// Static.
	hook   Webhook
	log    *slog.Logger
	http   *http.Client
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	running bool        // guarded by mu
	waiting []Alert     // guarded by mu: the oldest one first; bound: none, maxWaiting
	counts  WebhookView // guarded by mu
	full    bool        // guarded by mu: some were lost since nothing waited
}

// WebhookView says how a webhook does.
type WebhookView struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Sent      uint64 `json:"sent"`   // requests that it has taken
	Failed    uint64 `json:"failed"` // requests that failed; those that are tried again count each time
	Lost      uint64 `json:"dropped"`
	Waiting   int    `json:"waiting"`    // notifications
	LastError string `json:"last_error"` // of the last request; empty: it was taken
}

func newSender(hook Webhook, log *slog.Logger) *sender {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token is for this address
	s := &sender{
		hook: hook, log: log, ended: make(chan struct{}), counts: WebhookView{Name: hook.Name, Kind: hook.Kind},
		http: &http.Client{
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute},
			Timeout:   postTimeout, CheckRedirect: stay,
		},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// push adds an alert. An older notification of the same alert that waits is replaced. If too many
// wait, the oldest one is lost, and counted.
func (s *sender) push(a Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		s.counts.Lost++
		return
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(o Alert) bool { return same(&o, &a) })
	if len(s.waiting) >= maxWaiting {
		s.waiting = s.waiting[1:]
		s.counts.Lost++
		if !s.full {
			s.full = true
			s.log.Error("too many notifications wait for a webhook, the oldest are lost", "webhook", s.hook.Name)
		}
	}
	s.waiting = append(s.waiting, a)
	if !s.running {
		s.running = true
		go s.run()
	}
}

// stop ends the goroutine, and returns what waits.
func (s *sender) stop() []Alert {
	s.cancel()
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running {
		<-s.ended
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.http.CloseIdleConnections()
	waiting := s.waiting
	s.waiting = nil
	return waiting
}

// run sends until nothing waits.
func (s *sender) run() {
	failures := 0
	for {
		batch := s.next()
		if batch == nil {
			return
		}
		again, err := s.post(s.ctx, batch)
		s.note(batch, again, err)
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if again == 0 {
			continue
		}
		wait := backoff.Delay(firstRetry, lastRetry, failures)
		backoff.Sleep(s.ctx, max(again, wait/2+rand.N(wait/2)))
	}
}

// next returns what is to be sent next. If there is nothing, or the sender has stopped, the
// goroutine is no longer running.
func (s *sender) next() []Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		close(s.ended)
		return nil
	}
	if len(s.waiting) == 0 {
		s.running, s.full = false, false
		return nil
	}
	return slices.Clone(s.waiting[:min(len(s.waiting), maxBatch)])
}

// note counts a request, and removes what is not sent again.
func (s *sender) note(batch []Alert, again time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.LastError = ""
	if err == nil {
		s.counts.Sent++
	} else {
		s.counts.Failed++
		if s.counts.LastError = err.Error(); s.ctx.Err() == nil {
			s.log.Warn("a webhook has not taken an alert", "webhook", s.hook.Name, "retry", again > 0, "err", err)
		}
		if again > 0 {
			return
		}
		s.counts.Lost += uint64(len(batch))
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(o Alert) bool { // one may have been replaced meanwhile
		return slices.ContainsFunc(batch, func(b Alert) bool {
			return same(&b, &o) && b.State == o.State && b.Told.Equal(o.Told)
		})
	})
}

// unsent returns what waits.
func (s *sender) unsent() []Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.waiting)
}

func (s *sender) view() WebhookView {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.counts
	v.Waiting = len(s.waiting)
	return v
}

// id identifies an alert, also in its repetitions and its end.
func id(a *Alert) string {
	return strings.Join([]string{a.Rule, a.Module, a.Interface, a.Since.UTC().Format(time.RFC3339)}, "/")
}

// same reports whether two have the same id.
func same(a, b *Alert) bool {
	return a.Since.Equal(b.Since) && a.Interface == b.Interface && a.Module == b.Module && a.Rule == b.Rule
}

// notification is the body of a request, version 1. An id is the same each time that a request is
// sent again, when an alert is repeated, and when it ends.
type notification struct {
	Version int        `json:"version"`
	Alerts  []notified `json:"alerts"`
}

type notified struct {
	Alert
	ID string `json:"id"`
}

// post sends alerts. If that fails, again is how long the server wants to be left alone, at least a
// nanosecond, or 0 if the request would fail again.
func (s *sender) post(ctx context.Context, alerts []Alert) (again time.Duration, err error) {
	body, err := json.Marshal(s.body(alerts))
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.hook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the address is not valid") // it may be a secret
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "sluice")
	if s.hook.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.hook.token)
	}
	answer, err := s.http.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the address, which may be a secret
		}
		return 1, err
	}
	defer answer.Body.Close() //nolint:errcheck // it is only read
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	switch code := answer.StatusCode; {
	case code < 300:
		return 0, nil
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return min(max(time.Duration(seconds)*time.Second, 1), lastRetry), fmt.Errorf("status %s", answer.Status)
	}
	return 0, fmt.Errorf("status %s", answer.Status)
}

// body returns what the webhook's kind needs.
func (s *sender) body(alerts []Alert) any {
	if s.hook.Kind == "slack" {
		var lines []string
		for i := range alerts {
			lines = append(lines, slackLine(&alerts[i]))
		}
		return map[string]string{"text": strings.Join(lines, "\n")}
	}
	n := notification{Version: 1}
	for _, a := range alerts {
		n.Alerts = append(n.Alerts, notified{Alert: a, ID: id(&a)})
	}
	return n
}

// slackEscaper escapes what Slack would read as a link or a mention.
var slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func slackLine(a *Alert) string {
	what := a.Rule
	if a.Module != "" { // not in a test
		what += ", " + a.Module + " " + a.Interface
	}
	if a.State == "resolved" {
		return slackEscaper.Replace("Ended: " + what)
	}
	return slackEscaper.Replace(fmt.Sprintf("%s: %s: %s", strings.ToUpper(a.Severity), what, a.Text))
}

// TestResult says whether a webhook has taken a test.
type TestResult struct {
	Webhook string `json:"webhook"`
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
}

// Test sends a notification to the webhook with the name, or to all, at once and once. It returns
// ErrNone if there is no such webhook.
func (a *Alerts) Test(ctx context.Context, name string) ([]TestResult, error) {
	a.mu.Lock()
	senders := slices.Clone(a.senders)
	a.mu.Unlock()
	test := Alert{
		Rule: "test", State: "firing", Severity: "test", Text: "this is a test, nothing is wrong",
		Since: time.Now().Truncate(time.Second),
	}
	results := []TestResult{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, s := range senders {
		if name != "" && s.hook.Name != name {
			continue
		}
		all.Go(func() {
			_, err := s.post(ctx, []Alert{test})
			r := TestResult{Webhook: s.hook.Name, OK: err == nil}
			if err != nil {
				r.Error = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			results = append(results, r)
		})
	}
	all.Wait()
	if len(results) == 0 {
		return nil, ErrNone
	}
	slices.SortFunc(results, func(x, y TestResult) int { return strings.Compare(x.Webhook, y.Webhook) })
	return results, nil
}
