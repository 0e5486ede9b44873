package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// KeptHeaders are the header fields that a Listener keeps by default of its WebSockets' requests.
func KeptHeaders() []string {
	return []string{
		"Host", "Origin", "User-Agent", "Accept-Language", "Cookie", "Authorization", "Sec-WebSocket-Protocol",
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "X-Request-ID",
	}
}

// upgradeHeaders are about the connection between client and gateway, and so no concern of the worker's.
var upgradeHeaders = []string{"Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions"}

// keeps reports whether what is kept of a request has the field.
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

// keepRequest keeps of the request what the listener is set to keep, and the sub-protocol that was agreed to, as an attachment carries it. It refuses the client where that is
// too large, and reports false.
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
	s.loop.out = link.AppendRequest(s.loop.out[:0], req.Target, headers)
	if n := len(s.loop.out); n > s.lis.MaxRequest {
		s.loop.stats.RequestsTooLarge++
		if g := s.loop.g; g.clientLogs.Allow() {
			g.log.Warn("a WebSocket was refused: what is to be kept of its request is too large", "bytes", n, "most", s.lis.MaxRequest, "remote", s.remote(),
				"fix", "allow it with --max-request (ListenerConfig.MaxRequest), or keep less of it (ListenerConfig.KeepHeaders)")
		}
		s.refuseHTTP(req, codec.Status(http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("%d bytes are to be kept of the request, at most %d may", n, s.lis.MaxRequest)))
		return false
	}
	s.request = string(s.loop.out) // of just its size: it stays as long as the client
	return true
}

// target is the request target, path and query; empty for anything but WebSocket.
func (s *session) target() string { return link.RequestTarget(s.request) }

// probes are the paths of plain requests that load balancers and supervisors send time and again. The gateway answers them itself.
const (
	probeLive   = "/livez"
	probeReady  = "/readyz"
	probeHealth = "/healthz"
)

// probe answers a plain request for one of the probes: 200, or 503 when the gateway is closing down or about to, and to /readyz also when the loop lets no newcomers in. It reports false for
// any other request, that for the listener's own path among them.
func (s *session) probe(req *codec.Request) bool {
	path, l := req.Path(), s.loop
	if path != probeLive && path != probeReady && path != probeHealth || s.lis.path.path != "" && s.lis.path.has(path) || req.IsUpgrade() {
		return false
	}
	status := http.StatusOK
	if path != probeLive && (l.draining || l.g.Draining()) || path == probeReady && l.overloaded() {
		status = http.StatusServiceUnavailable
	}
	l.stats.Probes++
	_ = s.conn.Write(answerTo(req, codec.Status(status, "")))
	s.end(link.ReasonPeer)
	return true
}
