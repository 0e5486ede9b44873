package gateway

import (
	"errors"
	"net/http"

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
	case s.probe(req):
		return len(in)
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
	switch {
	case errors.Is(err, codec.ErrOrigin):
		s.refuseOrigin(req, response)
		return len(in)
	case err != nil:
		s.refuseHTTP(response)
		return len(in)
	}
	if !s.keepRequest(req) || s.conn.Write(response) != nil {
		return len(in)
	}
	s.codec = ws
	s.open()
	return n
}

// refuseHTTP answers with a response that ends the connection.
func (s *session) refuseHTTP(response []byte) {
	s.loop.stats.Refusals++
	_ = s.conn.Write(response)
	s.end(link.ReasonHandshake)
}
