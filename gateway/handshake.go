package gateway

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// handshake reads a WebSocket client's HTTP request and answers it: by an upgrade, a page, or a refusal. It returns the bytes taken.
func (s *session) handshake(in []byte) int {
	req, n, err := codec.ReadRequest(in)
	switch {
	case err != nil:
		s.refuseHTTP(nil, codec.Refusal(err))
		return len(in)
	case n == 0:
		return 0
	case s.probe(req):
		return len(in)
	case s.loop.ending || s.loop.overloaded():
		s.refuseHTTP(req, codec.Status(http.StatusServiceUnavailable, ""))
		return len(in)
	case !req.IsUpgrade():
		s.page(req)
		return len(in)
	}
	if !s.lis.path.has(req.Path()) {
		s.refusePath(req)
		return len(in)
	}
	if s.lis.OnUpgrade != nil {
		if status := s.lis.OnUpgrade(req); status != 0 {
			s.refuseHTTP(req, codec.Status(status, ""))
			return len(in)
		}
	}
	options := s.lis.upgrade
	options.ClientTakeover = s.loop.windows+codec.WindowSize <= s.loop.g.cfg.MaxTakeoverBytes
	ws, response, err := codec.Upgrade(req, &options)
	switch {
	case errors.Is(err, codec.ErrOrigin):
		s.refuseOrigin(req, response)
		return len(in)
	case err != nil:
		s.refuseHTTP(req, response)
		return len(in)
	}
	if !s.keepRequest(req, ws.Subprotocol()) || s.conn.Write(response) != nil {
		return len(in)
	}
	s.codec = ws
	switch l := s.loop; {
	case ws.ClientTakeover():
		l.windows += codec.WindowSize // until OnClose
	case !options.ClientTakeover && l.g.cfg.MaxTakeoverBytes > 0 && s.lis.Compress && req.Header("Sec-WebSocket-Extensions") != "":
		l.stats.TakeoversRejected++
	}
	s.open()
	return n
}

// refuseHTTP answers a request with a response that ends the connection; req is nil of one that cannot be read.
func (s *session) refuseHTTP(req *codec.Request, response []byte) {
	s.loop.stats.HandshakesRejected++
	_ = s.conn.Write(answerTo(req, response))
	s.end(link.ReasonHandshake)
}

// answerTo is a response without its body where the request is HEAD (RFC 9110 section 9.3.2).
func answerTo(req *codec.Request, response []byte) []byte {
	if req == nil || req.Method != http.MethodHead {
		return response
	}
	const end = "\r\n\r\n"
	return response[:bytes.Index(response, []byte(end))+len(end)]
}

// refusePath refuses a WebSocket on a path on which the listener opens none.
func (s *session) refusePath(req *codec.Request) {
	if g := s.loop.g; g.grumble.Allow() {
		g.log.Warn("a WebSocket was refused: the listener opens none on this path", "path", brief(req.Path()), "listener", s.lis.URL, "remote", s.remote(),
			"fix", "ask for the path in the listener's URL, or end that in /* for all paths below it")
	}
	s.refuseHTTP(req, codec.Status(http.StatusNotFound, "no WebSocket is opened on this path"))
}
