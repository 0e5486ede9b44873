package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A client that breaks its protocol is not read any more. What came whole before is handed on as ever, and the client is closed when all of that has been handled and answered,
// as one that a drain has leave: a program that is piped into a client gets its answers up to the line that is wrong, and then hears what is wrong with that.

// closeReason is the codec of such a client: its last words are there already.
type closeReason struct {
	messageCodec
	words []byte // as they go over the wire; bound: none, made once
}

// AppendClose implements messageCodec.
func (c *closeReason) AppendClose(dst []byte, _ uint16, _ string) []byte {
	return append(dst, c.words...)
}

// fail has a client go that sent what cannot be decoded, as err says. reply is the codec's last words, if it has any: the close frame of a WebSocket.
// It returns how much of the input, of which so much had been decoded, is done with: in the rest of a WebSocket's its close frame is looked for.
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

// webSocket is the session's codec where that is a WebSocket, else nil.
func (s *session) webSocket() *codec.WebSocket {
	c := s.codec
	if gone, ok := c.(*closeReason); ok {
		c = gone.messageCodec
	}
	ws, _ := c.(*codec.WebSocket)
	return ws
}

// maxDetail is how much a client is told of what is wrong, in bytes: a Codec of one's own may say as much as it likes.
const maxDetail = 200

// decodeError says what is wrong with what a client has sent.
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

// closedMessage is what a client hears, whose protocol has no farewell of its own, of what it did wrong.
func closedMessage(reason link.Reason, what string) []byte {
	b, _ := json.Marshal(struct { // of strings: it does not fail
		Type   string `json:"type"`
		Reason string `json:"reason"`
		Detail string `json:"detail"`
	}{"sluice.closed", reason.String(), what})
	return b
}
