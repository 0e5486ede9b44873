package chat

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/worker"
)

// maxRefused is the largest request, in bytes, whose ref is read when it comes too fast. The
// longest message fits, with each character escaped.
const maxRefused = 32 << 10

var (
	errRef     = errors.New("a ref must have between 1 and 24 visible characters, and only single spaces between them")
	errJSON    = errors.New(`not a request: expected {"type":...} or a line of text`)
	errCommand = errors.New("commands: /login NAME, /join ROOM, /leave [ROOM], /say ROOM text, /msg NAME text, " +
		"/rooms, /users [ROOM], /quit; put a name with spaces before a text in double quotes")
)

// parse parses a request: a JSON object or a typed line.
func parse(data []byte) (req request, err error) {
	if !utf8.Valid(data) {
		return req, errJSON
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return req, errJSON
	}
	if data[0] == '{' {
		// Reject what parsers interpret in different ways, and deep nesting.
		if err := codec.CheckDocument(data); err != nil {
			return req, errJSON
		}
		if err := unmarshal(data, &req); err != nil {
			return req, errJSON
		}
		if clean, err := cleanName(req.Ref); req.Ref != "" && (err != nil || clean != req.Ref) {
			return req, errRef
		}
		return req, nil
	}
	return typed(string(data))
}

// refOf returns the ref of a request that is not carried out, or "". It reads requests up to
// maxRefused only, because refusing many requests must be cheap.
func refOf(data []byte) string {
	if len(data) > maxRefused {
		return ""
	}
	req, err := parse(data)
	if err != nil {
		return ""
	}
	return req.Ref
}

// typed parses a line that a telnet user typed: a command or a message.
func typed(line string) (req request, err error) {
	if line[0] != '/' {
		return request{Type: "say", Text: line}, nil
	}
	command, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch command {
	case "/login":
		return request{Type: "login", Name: rest}, nil
	case "/join":
		return request{Type: "join", Room: rest}, nil
	case "/leave":
		return request{Type: "leave", Room: rest}, nil
	case "/say":
		room, text := cutName(rest)
		return request{Type: "say", Room: room, Text: text}, nil
	case "/msg":
		to, text := cutName(rest)
		return request{Type: "private", To: to, Text: text}, nil
	case "/rooms":
		return request{Type: "rooms"}, nil
	case "/users":
		return request{Type: "users", Room: rest}, nil
	case "/quit":
		return request{Type: "quit"}, nil
	}
	return req, errCommand
}

// cutName cuts a name off a typed line: up to the first space or, if the line begins with a double
// quote, to the next one.
func cutName(s string) (name, rest string) {
	if quoted, ok := strings.CutPrefix(s, `"`); ok {
		if name, rest, ok = strings.Cut(quoted, `"`); ok {
			return name, rest
		}
	}
	name, rest, _ = strings.Cut(s, " ")
	return name, rest
}

const (
	burst  = 10                     // size of the token bucket, in requests
	refill = 200 * time.Millisecond // time until one more request is allowed
)

// allowed takes one request from the client's token bucket, which holds burst requests. If the
// store has forgotten the bucket, it is full.
func (h *chat) allowed(ctx context.Context, c worker.Call) bool {
	ok := false
	id := c.ID()
	err := h.rates.Update(ctx, string(id[:]), func(old []byte) ([]byte, error) {
		now := int64(time.Since(h.start))
		// The stored value is the time at which the bucket will be full again.
		full := now
		if len(old) == 8 {
			full = max(now, int64(binary.BigEndian.Uint64(old)))
		}
		full += int64(refill)
		if ok = full-now <= int64(burst*refill); !ok {
			return old, nil
		}
		return binary.BigEndian.AppendUint64(nil, uint64(full)), nil
	})
	return ok || err != nil
}
