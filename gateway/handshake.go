package gateway

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// handshake reads the HTTP request of a WebSocket client. It answers with an upgrade, a page or a
// refusal, and returns the bytes consumed.
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
	case !s.lis.locate(s, req):
		s.refuseHTTP(req, codec.Status(http.StatusTooManyRequests, "too many connections of your address"))
		return len(in)
	case s.loop.draining || s.loop.overloaded():
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
	if s.lis.OnUpgrade == nil && !s.lis.asksWorker() {
		s.finishUpgrade(req, nil)
		return s.handshaken(n, len(in))
	}
	ws, response, err := codec.Upgrade(req, &s.lis.upgrade)
	if err != nil {
		s.refuseUpgrade(req, response, err)
	} else if s.keepRequest(req, ws.Subprotocol()) {
		s.askUpgrade(req, n)
	}
	return s.handshaken(n, len(in))
}

// handshaken is what is consumed of the input: the request, or everything if the client was
// refused.
func (s *session) handshaken(request, all int) int {
	if s.phase > phaseOpen {
		return all
	}
	return request
}

// finishUpgrade opens the WebSocket. id is what OnUpgrade returned, nil if it was not called.
func (s *session) finishUpgrade(req *codec.Request, id *identity) {
	options := s.lis.upgrade
	options.ClientTakeover = s.loop.takeoverBytes+codec.WindowSize <= s.loop.g.cfg.MaxTakeoverBytes
	ws, response, err := codec.Upgrade(req, &options)
	if err != nil {
		s.refuseUpgrade(req, response, err)
		return
	}
	if id == nil && !s.keepRequest(req, ws.Subprotocol()) || s.conn.Write(response) != nil {
		return
	}
	s.codec = ws
	switch l := s.loop; {
	case ws.ClientTakeover():
		l.takeoverBytes += codec.WindowSize // released in OnClose
	case !options.ClientTakeover && l.g.cfg.MaxTakeoverBytes > 0 && s.lis.Compress &&
		req.Header("Sec-WebSocket-Extensions") != "":
		l.stats.TakeoversRejected++
	}
	s.open(id)
}

// refuseUpgrade refuses a request that codec.Upgrade has refused.
func (s *session) refuseUpgrade(req *codec.Request, response []byte, err error) {
	if errors.Is(err, codec.ErrOrigin) {
		s.refuseOrigin(req, response)
	} else {
		s.refuseHTTP(req, response)
	}
}

// refuseHTTP answers a request and ends the connection. req is nil if it could not be parsed.
func (s *session) refuseHTTP(req *codec.Request, response []byte) {
	s.loop.stats.HandshakesRejected++
	s.loop.access.answered(s, req, statusOf(response))
	_ = s.conn.Write(answerTo(req, response))
	s.end(link.ReasonHandshake)
}

// answerTo returns the response, without its body if the request is HEAD (RFC 9110 section 9.3.2).
func answerTo(req *codec.Request, response []byte) []byte {
	if req == nil || req.Method != http.MethodHead {
		return response
	}
	const end = "\r\n\r\n"
	return response[:bytes.Index(response, []byte(end))+len(end)]
}

// refusePath refuses a WebSocket on a path that is not the listener's.
func (s *session) refusePath(req *codec.Request) {
	if g := s.loop.g; g.clientLogs.Allow() {
		g.log.Warn("WebSocket rejected: the listener has another path",
			"path", brief(req.Path()), "listener", s.lis.URL, "remote", s.remote(),
			"fix", "connect to the path of the listener's URL, or end that in /* for all paths below it")
	}
	s.refuseHTTP(req, codec.Status(http.StatusNotFound, "no WebSocket on this path"))
}

// refuseNew sends a new client the reason why it is not accepted, and closes it.
func (s *session) refuseNew(text string, why link.Reason) {
	s.loop.stats.HandshakesRejected++
	s.phase = phaseEnding
	_ = s.conn.Write(s.codec.Append(nil, []byte(text), true))
	s.conn.CloseAfterFlush(closing(why), flushTimeout)
}
