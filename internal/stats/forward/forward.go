// Package forward sends reports of calls to the node that keeps them, over HTTP.
//
// A Sender remembers nothing: a report is the caller's until Take returns nil for it, which means
// that it is kept. So no report is lost when this process or the other one is killed, and none is
// counted twice, because the other node knows the numbers of reports.
package forward

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

const (
	maxWaiting  = 256 // reports that wait for a request
	maxRequest  = 4 << 20
	requestTime = 10 * time.Second
	firstPause  = 100 * time.Millisecond // after a request that failed
	lastPause   = time.Second
	maxAnswer   = 64 << 10
)

// ErrClosed is returned by Take when the Sender is closed.
var ErrClosed = errors.New("forward: closed")

// Config configures a Sender. URL is required.
type Config struct {
	// URL is http://HOST:PORT or https://HOST:PORT of the other node's admin listener.
	URL string
	// Token returns the token to send. It is called for each request. Nil: none is sent.
	Token func() (string, error)
	// TLS is for https. Nil: the certificates of the system are trusted.
	TLS *tls.Config
	// Logger is the log. Defaults to slog.Default().
	Logger *slog.Logger
}

// CheckURL returns what is wrong with a URL of an admin listener.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("%q: must be http://HOST:PORT or https://HOST:PORT", s)
	}
	return nil
}

// Sender sends reports. Any goroutine may call its methods.
type Sender struct {
	// Static after New.
	cfg  Config
	url  string
	http *http.Client
	end  context.CancelFunc
	over chan struct{} // closed when the goroutine that sends has ended
	ctx  context.Context

	waiting chan *waiting // Take waits while it is full; bound: reports that wait to be forwarded

	sent, refused, failures atomic.Uint64

	// Owned by the goroutine that sends.
	logRate rate.Sometimes
	failed  int // requests, one after the other
}

// waiting is a report that waits.
type waiting struct {
	ctx    context.Context
	report []byte
	done   chan error // bound: none, one result
}

// Stats are the figures of a Sender.
type Stats struct {
	Sent     uint64 // reports that the other node keeps
	Refused  uint64 // reports that the other node does not understand; they are lost
	Failures uint64 // requests that failed; their reports come again
	Waiting  int    // reports
}

// New returns a Sender, which runs until Close.
func New(cfg Config) (*Sender, error) {
	if err := CheckURL(cfg.URL); err != nil {
		return nil, err
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	s := &Sender{
		cfg: cfg, url: strings.TrimRight(cfg.URL, "/") + "/api/v1/stats/reports", over: make(chan struct{}),
		waiting: make(chan *waiting, maxWaiting), logRate: rate.Sometimes{Interval: time.Minute},
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token is for this URL
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: cfg.TLS}, CheckRedirect: stay}
	s.ctx, s.end = context.WithCancel(context.Background())
	go s.run()
	return s, nil
}

// Take sends a report. It returns nil when the other node keeps it, or will never take it. After an
// error the report is to be given again.
func (s *Sender) Take(ctx context.Context, report []byte) error {
	w := &waiting{ctx: ctx, report: report, done: make(chan error, 1)}
	select {
	case s.waiting <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return ErrClosed
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// Close ends a request that is being sent.
func (s *Sender) Close() {
	s.end()
	<-s.over
	s.http.CloseIdleConnections()
}

// Stats returns the figures.
func (s *Sender) Stats() Stats {
	return Stats{Sent: s.sent.Load(), Refused: s.refused.Load(), Failures: s.failures.Load(), Waiting: len(s.waiting)}
}

// run sends what waits, one request at a time. While one is on its way further reports gather for
// the next one.
func (s *Sender) run() {
	defer close(s.over)
	for {
		select {
		case w := <-s.waiting:
			s.send(s.gather(w))
		case <-s.ctx.Done():
			return
		}
		if s.failed > 0 {
			pause := backoff.Delay(firstPause, lastPause, s.failed)
			backoff.Sleep(s.ctx, pause/2+rand.N(pause))
		}
	}
}

// gather returns the report and those that wait too, as far as they go into one request.
func (s *Sender) gather(first *waiting) []*waiting {
	batch, size := []*waiting{first}, len(first.report)
	for size < maxRequest {
		select {
		case w := <-s.waiting:
			if w.ctx.Err() == nil { // else its caller has left
				batch, size = append(batch, w), size+len(w.report)
			}
		default:
			return batch
		}
	}
	return batch
}

// send sends reports with one request. If the other node refuses it, each is sent by itself, and
// those that are refused are lost.
func (s *Sender) send(batch []*waiting) {
	err := s.post(batch)
	var no *refusal
	refused := errors.As(err, &no)
	switch {
	case refused && len(batch) > 1:
		for i := range batch {
			s.send(batch[i : i+1])
		}
		return
	case refused:
		s.refused.Add(1)
		s.cfg.Logger.Error("a report of calls is lost: the node that keeps them refuses it", "url", s.cfg.URL, "err", err)
		s.failed, err = 0, nil
	case err != nil:
		s.failed++
		s.failures.Add(1)
		s.logRate.Do(func() {
			s.cfg.Logger.Warn("reports of calls are not kept, they are sent again", "url", s.cfg.URL, "err", err)
		})
	default:
		if s.failed > 0 {
			s.cfg.Logger.Info("reports of calls are kept again", "url", s.cfg.URL)
			s.logRate = rate.Sometimes{Interval: time.Minute}
		}
		s.failed = 0
		s.sent.Add(uint64(len(batch)))
	}
	for _, w := range batch {
		w.done <- err
	}
}

// refusal is an answer that says that the request is wrong and will always be.
type refusal struct{ error }

// post sends one request.
func (s *Sender) post(batch []*waiting) error {
	var body []byte
	for _, w := range batch {
		body = stats.AppendToBatch(body, w.report)
	}
	ctx, cancel := context.WithTimeout(s.ctx, requestTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	if s.cfg.Token != nil {
		token, err := s.cfg.Token()
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := s.http.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // it is for information only
	switch answer.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return &refusal{problem(answer, text)}
	}
	return problem(answer, text)
}

// problem returns the error for an answer.
func problem(answer *http.Response, text []byte) error {
	var p struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(text, &p) == nil && p.Detail != "" {
		return fmt.Errorf("%s: %q", answer.Status, p.Detail)
	}
	return errors.New(answer.Status)
}
