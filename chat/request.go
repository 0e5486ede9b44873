package chat

import (
	"bytes"
	"errors"
	"strconv"
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
	errSeq     = errors.New("SEQ must be the seq of a message, a number from 1; " + help)
	errCommand = errors.New("unknown command; " + help)
)

// help describes what people can type.
const help = "commands: /login NAME, /join ROOM, /leave [ROOM], /say ROOM text, /msg NAME text, " +
	"/history [WHERE] [BEFORE], /reply [WHERE] SEQ text, /edit [WHERE] SEQ text, /delete [WHERE] SEQ, " +
	"/react [WHERE] SEQ EMOJI, /rooms, /users [ROOM], /block NAME, /unblock NAME, /password [NEW [OLD]], " +
	"/help, /quit; a line that is not a command is said in the room joined last; SEQ is the seq of a message, " +
	"and WHERE is #ROOM or @NAME, or the room joined last; put a name with spaces before a text in double " +
	`quotes; /login "NAME" TOKEN-OR-PASSWORD takes a name back; /password without NEW removes the password`

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

// peek reads a request that is not carried out. It reads requests up to maxRefused only, because
// refusing many requests must be cheap. Others, and invalid ones, are empty.
func peek(data []byte) request {
	if len(data) > maxRefused {
		return request{}
	}
	req, err := parse(data)
	if err != nil {
		return request{}
	}
	return req
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
	case "/history":
		req, rest = cutWhere(rest)
		if req.Type = "history"; rest != "" {
			req.Before, _, err = cutSeq(rest)
		}
		return req, err
	case "/reply", "/edit", "/delete", "/react":
		return typedChange(command, rest)
	case "/block", "/unblock":
		return request{Type: "block", Name: rest, Off: command == "/unblock"}, nil
	case "/password":
		password, old := cutName(rest)
		return request{Type: "password", Password: password, Old: strings.TrimSpace(old)}, nil
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

// typedChange parses a command about a message.
func typedChange(command, rest string) (req request, err error) {
	req, rest = cutWhere(rest)
	req.Seq, rest, err = cutSeq(rest)
	if err != nil {
		return req, err
	}
	req.Text = rest
	switch command {
	case "/react":
		req.Type, req.Emoji = "react", rest
	case "/delete":
		req.Type = "delete"
	case "/edit":
		req.Type = "edit"
	case "/reply":
		req.Type, req.Reply = "say", req.Seq
		if req.To != "" {
			req.Type = "private"
		}
	}
	return req, nil
}

// cutWhere cuts #ROOM or @NAME off a typed line.
func cutWhere(s string) (req request, rest string) {
	switch {
	case strings.HasPrefix(s, "#"):
		req.Room, rest = cutName(s[1:])
	case strings.HasPrefix(s, "@"):
		req.To, rest = cutName(s[1:])
	default:
		return req, s
	}
	return req, strings.TrimSpace(rest)
}

// cutSeq cuts the number of a message off a typed line.
func cutSeq(s string) (seq uint64, rest string, err error) {
	number, rest, _ := strings.Cut(s, " ")
	if seq, err = strconv.ParseUint(number, 10, 64); err != nil || seq == 0 {
		return 0, "", errSeq
	}
	return seq, strings.TrimSpace(rest), nil
}
