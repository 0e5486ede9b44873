package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// KeptHeaders returns the header fields of a WebSocket's request that a listener keeps by default.
func KeptHeaders() []string {
	return []string{
		"Host", "Origin", "User-Agent", "Accept-Language", "Cookie", "Authorization", "Sec-WebSocket-Protocol",
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "X-Request-ID",
	}
}

// upgradeHeaders concern the connection between client and gateway only. KeepHeaders "*" does not
// include them.
var upgradeHeaders = []string{
	"Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions",
}

// keeps reports whether the listener keeps a header field.
func (l *ListenerConfig) keeps(field string) bool {
	if slices.Contains(l.KeepHeaders, "*") {
		return !holds(upgradeHeaders, field)
	}
	return holds(l.KeepHeaders, field)
}

func holds(list []string, field string) bool {
	for _, name := range list {
		if len(name) == len(field) && strings.EqualFold(name, field) {
			return true
		}
	}
	return false
}

// keepRequest stores the request target, the header fields that the listener keeps, and the
// selected subprotocol, encoded as in an attachment. If they are too large, it refuses the client
// and reports false.
func (s *session) keepRequest(req *codec.Request, subprotocol string) bool {
	headers := make([]link.Header, 0, 16)
	if subprotocol != "" {
		headers = append(headers, link.Header{Name: link.SubprotocolHeader, Value: subprotocol})
	}
	for name, value := range req.Headers() {
		if s.lis.keeps(name) {
			headers = append(headers, link.Header{Name: name, Value: value})
		}
	}
	s.loop.out = link.AppendRequest(s.loop.out[:0], maskQuery(req.Target, s.lis.MaskQuery), headers)
	if n := len(s.loop.out); n > s.lis.MaxRequest {
		s.loop.stats.RequestsTooLarge++
		if g := s.loop.g; g.clientLogs.Allow() {
			g.log.Warn("WebSocket rejected: its request is too large",
				"bytes", n, "max", s.lis.MaxRequest, "remote", s.remote(),
				"fix", "raise --max-request (ListenerConfig.MaxRequest), or shorten ListenerConfig.KeepHeaders")
		}
		s.refuseHTTP(req, codec.Status(http.StatusRequestHeaderFieldsTooLarge,
			fmt.Sprintf("%d bytes of the request are for workers: must be at most %d", n, s.lis.MaxRequest)))
		return false
	}
	s.request = string(s.loop.out) // a copy of exactly this size, kept until the client has gone
	return true
}

// maskQuery returns a request target with *** as the value of the query parameters named.
func maskQuery(target string, names []string) string {
	path, query, found := strings.Cut(target, "?")
	if !found || len(names) == 0 {
		return target
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		key, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(key); err != nil || slices.Contains(names, name) {
			pairs[i] = key + "=***"
		}
	}
	return path + "?" + strings.Join(pairs, "&")
}

// target is the request target: path and query. It is empty except for WebSockets.
func (s *session) target() string { return link.RequestTarget(s.request) }

// probes are the paths that load balancers and supervisors request. The gateway answers them
// itself.
const (
	probeLive   = "/livez"
	probeReady  = "/readyz"
	probeHealth = "/healthz"
)

// probe answers a plain request for one of the probes. The status is 200. It is 503 when the
// gateway drains or is about to, and for /readyz also when the loop is overloaded. It reports false
// for other requests, including those for the listener's own path.
func (s *session) probe(req *codec.Request) bool {
	path, l := req.Path(), s.loop
	if path != probeLive && path != probeReady && path != probeHealth ||
		s.lis.path.path != "" && s.lis.path.has(path) || req.IsUpgrade() {
		return false
	}
	status := http.StatusOK
	if path != probeLive && (l.draining || l.g.Draining()) || path == probeReady && l.overloaded() {
		status = http.StatusServiceUnavailable
	}
	l.stats.Probes++
	l.access.forget(s)
	_ = s.conn.Write(answerTo(req, codec.Status(status, "")))
	s.end(link.ReasonPeer)
	return true
}
