package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A client that violates its protocol is not read any more. Complete messages that came before are
// handled as usual. The client is closed when they are handled and answered, as in a drain. So a
// program whose output is piped into a client gets the answers up to the invalid line, and then the
// error.

// closeReason is the codec of such a client. Its last message is ready.
type closeReason struct {
	messageCodec
	words []byte // in wire format; bound: none, made once
}

// AppendClose implements messageCodec.
func (c *closeReason) AppendClose(dst []byte, _ uint16, _ string) []byte {
	return append(dst, c.words...)
}

// fail closes a client whose input cannot be decoded because of err. reply is the close frame of a
// WebSocket, empty for other codecs. decoded and all are the bytes of the input that were decoded,
// and all of it. It returns the bytes consumed. The rest of a WebSocket's input is kept, since a
// close frame is looked for in it.
func (s *session) fail(err error, reply []byte, decoded, all int) (taken int) {
	reason := reasonOf(err)
	words := append([]byte(nil), reply...)
	if len(words) == 0 {
		words = s.codec.Append(nil, closedMessage(reason, s.decodeError(err)), true)
	}
	s.clearDeadline()
	s.codec, s.reason = &closeReason{s.codec, words}, reason
	s.loop.el.Schedule(&s.timer, halfCloseTimeout)
	s.closeWhenHandled()
	if s.webSocket() == nil {
		return all
	}
	return decoded
}

// webSocket returns the session's codec if it is a WebSocket, else nil.
func (s *session) webSocket() *codec.WebSocket {
	c := s.codec
	if gone, ok := c.(*closeReason); ok {
		c = gone.messageCodec
	}
	ws, _ := c.(*codec.WebSocket)
	return ws
}

// maxDetail bounds the detail of an error that a client is sent, in bytes. The error may come from
// a custom Codec.
const maxDetail = 200

// decodeError describes what is wrong with a client's input.
func (s *session) decodeError(err error) string {
	switch {
	case errors.Is(err, codec.ErrTooBig):
		return fmt.Sprintf("a message of more than %d bytes", s.lis.MaxMessage)
	case errors.Is(err, codec.ErrDocument):
		return "not one strict JSON document"
	}
	what := strings.TrimPrefix(err.Error(), codec.ErrProtocol.Error()+": ")
	return strings.ToValidUTF8(what[:min(len(what), maxDetail)], "")
}

// closedMessage is the last message to a client that has violated its protocol, where the protocol
// has no close frame.
func closedMessage(reason link.Reason, what string) []byte {
	b, _ := json.Marshal(struct { // strings cannot fail
		Type   string `json:"type"`
		Reason string `json:"reason"`
		Detail string `json:"detail"`
	}{"sluice.closed", reason.String(), what})
	return b
}
