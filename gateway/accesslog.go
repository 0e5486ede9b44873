package gateway

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
)

// accessLog writes a line when a connection of a client ends, for one connection of sample. It
// costs nothing for the others. Owned by the loop.
type accessLog struct {
	settings *atomic.Pointer[accessSettings] // of the gateway
	entries  map[*session]*accessEntry       // of the sampled connections; bound: lists of clients
}

// accessSettings are Config.AccessLog and Config.AccessLogSample.
type accessSettings struct {
	to     *slog.Logger // nil: no lines
	sample int
}

// accessEntry is what a line needs and the session does not have.
type accessEntry struct {
	to     *slog.Logger
	began  time.Time
	remote netip.AddrPort // that a proxy has named and a limit has refused; zero: that of the connection
	path   string         // of the request, without the query: that may have a token
	status int            // of the HTTP response; 0: none
}

// begin notes a connection that has been accepted.
func (a *accessLog) begin(s *session) {
	if set := a.settings.Load(); set.to != nil && (set.sample <= 1 || rand.IntN(set.sample) == 0) {
		a.entries[s] = &accessEntry{to: set.to, began: time.Now()}
	}
}

// overLimit notes the address of a client that a limit for it refuses.
func (a *accessLog) overLimit(s *session, client netip.AddrPort) {
	if e := a.entries[s]; e != nil {
		e.remote = client
	}
}

// answered notes the response to an HTTP request. req is nil if it could not be parsed.
func (a *accessLog) answered(s *session, req *codec.Request, status int) {
	e := a.entries[s]
	if e == nil {
		return
	}
	if e.status = status; req != nil {
		e.path = brief(req.Path())
	}
}

// opened notes a client that has opened.
func (a *accessLog) opened(s *session) {
	logConnect(s)
	if e := a.entries[s]; e != nil && s.lis.upgrades() {
		e.status = http.StatusSwitchingProtocols
		e.path, _, _ = strings.Cut(s.target(), "?")
		e.path = brief(e.path)
	}
}

// forget drops the line of a connection: it was a probe.
func (a *accessLog) forget(s *session) { delete(a.entries, s) }

// end writes the line of a connection that has ended.
func (a *accessLog) end(s *session) {
	if !s.member.ID.IsZero() {
		logDisconnect(s)
	}
	e := a.entries[s]
	if e == nil {
		return
	}
	delete(a.entries, s)
	remote := s.remote()
	if e.remote.IsValid() {
		remote = e.remote.String()
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("remote", remote), slog.String("listener", s.lis.URL))
	if s.lis.upgrades() {
		attrs = append(attrs, slog.String("path", e.path), slog.Int("status", e.status))
	}
	if !s.member.ID.IsZero() {
		attrs = append(attrs, slog.String("client", s.member.ID.String()), slog.String("uid", s.member.UID()))
	}
	attrs = append(attrs, slog.Duration("took", time.Since(e.began).Round(time.Millisecond)),
		slog.String("reason", s.reason.String()))
	e.to.LogAttrs(context.Background(), slog.LevelInfo, "access", attrs...)
}

// statusOf returns the status of an HTTP response, or 0.
func statusOf(response []byte) int {
	const at = len("HTTP/1.1 ")
	if len(response) < at+3 {
		return 0
	}
	status, _ := strconv.Atoi(string(response[at : at+3]))
	return status
}

// logConnect and logDisconnect write the events of a client at level debug.
func logConnect(s *session) {
	if log := s.loop.g.log; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("client connected", "client", s.member.ID.String(), "remote", s.remote(), "listener", s.lis.URL)
	}
}

func logDisconnect(s *session) {
	if log := s.loop.g.log; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("client disconnected", "client", s.member.ID.String(), "uid", s.member.UID(), "remote", s.remote(),
			"reason", s.reason.String())
	}
}
