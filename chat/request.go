package chat

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/codec"
)

// maxRefused is the largest request, in bytes, whose ref is read when it comes too fast. The
// longest message fits, with each character escaped.
const maxRefused = 32 << 10

var (
	errRef     = errors.New("a ref must have between 1 and 24 visible characters, and only single spaces between them")
	errJSON    = errors.New(`not a request: expected {"type":...} or a line of text`)
	errCommand = errors.New("unknown command; " + help)
)

// help describes what people can type.
const help = "commands: /login NAME, /join ROOM, /leave [ROOM], /say ROOM text, /msg NAME text, " +
	"/rooms, /users [ROOM], /help, /quit; a line that is not a command is said in the room joined last; " +
	`put a name with spaces before a text in double quotes; /login "NAME" TOKEN takes a name back`

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
		if clean, ok := cleanLabel(req.Ref); req.Ref != "" && (!ok || clean != req.Ref) {
			return req, errRef
		}
		return req, nil
	}
	req, err = typed(string(data))
	req.typed = true
	return req, err
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
		if name, token := cutName(rest); rest[:min(1, len(rest))] == `"` {
			return request{Type: "login", Name: name, Token: strings.TrimSpace(token)}, nil
		}
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
	case "/help":
		return request{Type: "help"}, nil
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
