package gateway

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// closing is the reason why the gateway closes a connection, as an error that the engine passes to
// OnClose.
type closing link.Reason

func (r closing) Error() string { return "gateway: " + link.Reason(r).String() }

// reasonOf returns the close reason for the error that ended a connection.
func reasonOf(err error) link.Reason {
	var c closing
	switch {
	case errors.As(err, &c):
		return link.Reason(c)
	case errors.Is(err, io.EOF):
		return link.ReasonPeer
	case errors.Is(err, engine.ErrSlowConsumer):
		return link.ReasonSlowConsumer
	case errors.Is(err, engine.ErrInputTooLarge), errors.Is(err, codec.ErrTooBig):
		return link.ReasonTooBig
	case errors.Is(err, engine.ErrStopped):
		return link.ReasonDraining
	case errors.Is(err, engine.ErrPanic):
		return link.ReasonInternal
	case errors.Is(err, codec.ErrProtocol), errors.Is(err, codec.ErrDocument), errors.Is(err, engine.ErrTLS):
		return link.ReasonProtocol
	}
	return link.ReasonNetwork
}

// closeCodeAndText returns the WebSocket close code and text for a reason (RFC 6455 section 7.4).
// Codes below 4000 are registered. A reason without a registered code has 4000 + its number.
func closeCodeAndText(r link.Reason) (code uint16, text string) {
	switch r {
	case link.ReasonPeer, link.ReasonKicked:
		code = 1000
	case link.ReasonProtocol:
		code = 1002
	case link.ReasonTooBig:
		code = 1009
	case link.ReasonLimit, link.ReasonSlowConsumer:
		code = 1008
	case link.ReasonInternal:
		code = 1011
	case link.ReasonDraining:
		code = 1012
	default:
		code = 4000 + uint16(r)
	}
	return code, r.String()
}

// noteProtocolBlame counts close frames by which the client reports that what it was sent is wrong:
// a protocol error (1002), data that it cannot accept (1003), text that is not valid UTF-8 (1007),
// or a message that is too big (1009); RFC 6455 section 7.4.1.
func (s *session) noteProtocolBlame(payload []byte) {
	if len(payload) < 2 {
		return
	}
	switch code := binary.BigEndian.Uint16(payload); code {
	case 1002, 1003, 1007, 1009:
		s.loop.stats.PeerErrors++
		if s.loop.g.clientLogs.Allow() {
			s.loop.g.log.Warn("WebSocket closed by the client because of received data", "remote", s.remote(),
				"code", code, "reason", string(payload[2:]))
		}
	}
}

// farewellMessage is the last message to a client whose protocol has no close frame. It is empty if
// the client or the business code has ended the connection.
func farewellMessage(r link.Reason, code uint16, text string) string {
	switch r {
	case link.ReasonPeer, link.ReasonKicked:
		return ""
	case link.ReasonRefused:
		detail, _ := json.Marshal(text) // a string cannot fail
		return fmt.Sprintf(`{"type":"sluice.closed","reason":"refused","code":%d,"detail":%s}`, code, detail)
	case link.ReasonDraining:
		return `{"type":"sluice.draining"}`
	}
	return `{"type":"sluice.closed","reason":"` + r.String() + `"}`
}
