package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/link"
)

const (
	// maxPages bounds the plain HTTP requests that are answered at the same time. Further ones get
	// status 503. A handler that ignores the end of its request's context keeps its place until it
	// returns, so that the number of goroutines stays bounded.
	maxPages = 64
	// maxPage bounds the body of a response, in bytes. Further writes of the handler fail, and the
	// status is 500. It is less than the smallest useful MaxOutput of a listener.
	maxPage = 512 << 10
	// maxPageTime is how long a handler may take. Then its request's context ends and the
	// connection is closed.
	maxPageTime = 30 * time.Second
)

// page answers a plain HTTP request with the listener's handler, on a goroutine of its own, and
// ends the connection.
func (s *session) page(req *codec.Request) {
	g, l := s.loop.g, s.loop
	if s.lis.Page == nil {
		s.refuseHTTP(req, codec.Status(http.StatusUpgradeRequired, "only WebSockets are served here"))
		return
	}
	if !s.lis.upgrade.Serves(req.Header("Host")) {
		s.refuseHost(req)
		return
	}
	r, err := httpRequest(req, s.remote(), s.conn.TLS())
	if err != nil {
		s.refuseHTTP(req, codec.Status(http.StatusBadRequest, ""))
		return
	}
	select {
	case g.pages <- struct{}{}:
	default:
		l.stats.PagesRejected++
		s.refuseHTTP(req, codec.Status(http.StatusServiceUnavailable, ""))
		return
	}
	l.stats.Pages++
	l.el.Schedule(&s.timer, maxPageTime)
	s.phase = phaseEnding
	s.clearDeadline()
	g.pagesWG.Go(func() {
		defer func() { <-g.pages }()
		w := &response{header: make(http.Header), body: g.buffers.Get()}
		ctx, cancel := context.WithTimeout(g.pageCtx, maxPageTime)
		defer cancel()
		g.serve(s.lis.Page, w, r.WithContext(ctx))
		b := g.buffers.Get()
		w.writeTo(b, r.Method)
		g.buffers.Put(w.body)
		_ = l.el.Post(func() { // on failure the loop has stopped, or the timer closes the connection
			l.el.Cancel(&s.timer)
			if w.failed {
				l.stats.PageErrors++
			}
			l.access.answered(s, req, statusOf(b.B))
			_ = s.conn.Write(b.B)
			g.buffers.Put(b) // Write has copied it
			s.conn.CloseAfterFlush(closing(link.ReasonPeer), flushTimeout)
		})
	})
}

// serve runs a handler. A panic, or a response that is too large, becomes status 500.
func (g *Gateway) serve(h http.Handler, w *response, r *http.Request) {
	defer func() {
		if p := recover(); p != nil || w.full {
			g.log.Error("page failed", "path", brief(r.URL.Path), "too-large", w.full, "panic", p)
			w.body.Reset()
			*w = response{header: make(http.Header), status: http.StatusInternalServerError, body: w.body, failed: true}
		}
	}()
	h.ServeHTTP(w, r)
}

// httpRequest returns req as a request of package net/http. state is nil without TLS.
func httpRequest(req *codec.Request, remote string, state *tls.ConnectionState) (*http.Request, error) {
	u, err := url.ParseRequestURI(req.Target)
	if err != nil {
		return nil, fmt.Errorf("gateway: request target: %w", err)
	}
	r := &http.Request{
		Method: req.Method, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: http.NoBody, Host: req.Header("Host"),
		RemoteAddr: remote, RequestURI: req.Target, TLS: state,
	}
	for name, value := range req.Headers() {
		r.Header.Add(name, value)
	}
	r.Header.Del("Host") // as in net/http, it is in r.Host
	return r, nil
}
