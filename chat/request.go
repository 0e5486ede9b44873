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

// maxRefused is the size in bytes up to which a request that comes too fast is read for its ref:
// room for the longest message, with every character escaped.
const maxRefused = 32 << 10

var (
	errRef     = errors.New("a ref has 1 to 24 visible characters, with single spaces at most")
	errJSON    = errors.New("not a request: expected {\"type\":...} or a line of text")
	errCommand = errors.New("commands: /login NAME, /join ROOM, /leave [ROOM], /say ROOM text, /msg NAME text, /rooms, /users [ROOM], /quit; a name with spaces before a text stands in double quotes")
)

// parse reads a request: a JSON object, or a line that somebody typed.
func parse(data []byte) (req request, err error) {
	if !utf8.Valid(data) {
		return req, errJSON
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return req, errJSON
	}
	if data[0] == '{' {
		if err := codec.CheckDocument(data); err != nil { // what two parsers would read in two ways, or nests without end
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

// refOf is the ref of a request that is not carried out, empty when it has none. It reads no more
// than maxRefused: refusing a flood must stay cheap.
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

// typed reads what a telnet user typed: a command, or something to say.
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

// cutName cuts a name off what was typed: up to a space or, if it begins with a double quote, to the next one.
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
	burst  = 10                     // requests that may come at once
	refill = 200 * time.Millisecond // until one more may
)

// allowed takes one request from the client's allowance: a bucket that is full at burst. The store may forget it, and then it is full.
func (h *chat) allowed(ctx context.Context, c worker.Call) bool {
	ok := false
	id := c.ID()
	err := h.rates.Update(ctx, string(id[:]), func(old []byte) ([]byte, error) {
		now := int64(time.Since(h.start))
		// What is kept is when the bucket will be full again.
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
