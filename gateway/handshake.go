package gateway

import (
	"net/http"
	"strings"

	"sluice/codec"
	"sluice/internal/link"
)

// handshake reads a WebSocket client's HTTP request and answers it: by an upgrade, a page, or a refusal. It returns the bytes taken.
func (s *session) handshake(in []byte) int {
	req, n, err := codec.ReadRequest(in)
	switch {
	case err != nil:
		s.refuseHTTP(codec.Refusal(err))
		return len(in)
	case n == 0:
		return 0
	case s.loop.ending || s.loop.overloaded():
		s.refuseHTTP(codec.Status(http.StatusServiceUnavailable))
		return len(in)
	case !req.IsUpgrade():
		s.page(req)
		return len(in)
	}
	if s.lis.path != "" && req.Path() != s.lis.path {
		s.refuseHTTP(codec.Status(http.StatusNotFound))
		return len(in)
	}
	if s.lis.OnUpgrade != nil {
		if status := s.lis.OnUpgrade(req); status != 0 {
			s.refuseHTTP(codec.Status(status))
			return len(in)
		}
	}
	ws, response, err := codec.Upgrade(req, &s.lis.upgrade)
	if err != nil {
		s.refuseHTTP(response)
		return len(in)
	}
	if s.conn.Write(response) != nil {
		return len(in)
	}
	s.codec = ws
	s.keepRequest(req)
	s.open()
	return n
}

// refuseHTTP answers with a response that ends the connection.
func (s *session) refuseHTTP(response []byte) {
	s.loop.stats.Refusals++
	_ = s.conn.Write(response)
	s.end(link.ReasonHandshake)
}

// keepRequest keeps the request as an attachment carries it, without the headers that were for the gateway.
func (s *session) keepRequest(req *codec.Request) {
	headers := make([]link.Header, 0, 16)
	for name, value := range req.Headers() {
		if !isUpgradeHeader(name) {
			headers = append(headers, link.Header{Name: name, Value: value})
		}
	}
	s.loop.out = link.AppendRequest(s.loop.out[:0], req.Target, headers)
	s.request = string(s.loop.out) // of just its size: it stays as long as the client
}

// isUpgradeHeader reports whether a header is about the connection between client and gateway, and so no concern of the worker's.
func isUpgradeHeader(name string) bool {
	for _, h := range [...]string{"Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions"} {
		if strings.EqualFold(name, h) {
			return true
		}
	}
	return false
}
