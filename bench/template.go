package bench

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A template is text with placeholders, filled in for each connection or message. It is static.
type template []piece

type piece struct {
	kind pieceKind
	text string // a literal, or the name of a placeholder
	at   int    // captured: index in values.captured
}

type pieceKind uint8

const (
	literal  pieceKind = iota
	connOf             // {conn}: number of the connection, from 0
	seqOf              // {seq}: number of the message on its connection, from 0
	timeOf             // {time}: when the message was due, in milliseconds since 1970
	lineOf             // {line}: the connection's line of Options.Data
	captured           // {NAME}: captured by the login
)

var placeholders = map[string]pieceKind{"conn": connOf, "seq": seqOf, "time": timeOf, "line": lineOf}

// placeholder matches a name in braces. Any other braces are
// literal, so that JSON needs no escapes.
var placeholder = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// parseTemplate parses a template. allowed and names are the
// placeholders it may use; names are captured.
func parseTemplate(s string, allowed, names []string) (t template, err error) {
	for s != "" {
		at := placeholder.FindStringSubmatchIndex(s)
		if at == nil {
			return append(t, piece{text: s}), nil
		}
		if at[0] > 0 {
			t = append(t, piece{text: s[:at[0]]})
		}
		name := s[at[2]:at[3]]
		switch i := slices.Index(names, name); {
		case i >= 0:
			t = append(t, piece{kind: captured, text: name, at: i})
		case slices.Contains(allowed, name):
			t = append(t, piece{kind: placeholders[name], text: name})
		default:
			known := strings.Join(slices.Concat(allowed, names), "}, {")
			return nil, fmt.Errorf("placeholder {%s} has no meaning here, must be one of {%s}", name, known)
		}
		s = s[at[1]:]
	}
	return t, nil
}

func (t template) has(kinds ...pieceKind) bool {
	return slices.ContainsFunc(t, func(p piece) bool { return slices.Contains(kinds, p.kind) })
}

// values are what a template is filled in with. They belong to the loop of their connection.
type values struct {
	conn     uint32
	line     string   // of Options.Data
	captured []string // by the login
}

// append fills in the template for message seq, which was due at a time in milliseconds since 1970.
func (t template) append(dst []byte, v *values, seq uint32, due int64) []byte {
	for i := range t {
		switch p := &t[i]; p.kind {
		case connOf:
			dst = strconv.AppendUint(dst, uint64(v.conn), 10)
		case seqOf:
			dst = strconv.AppendUint(dst, uint64(seq), 10)
		case timeOf:
			dst = strconv.AppendInt(dst, due, 10)
		default:
			dst = append(dst, p.word(v)...)
		}
	}
	return dst
}

// word returns the value of a piece that is not a number.
func (p *piece) word(v *values) string {
	switch p.kind {
	case lineOf:
		return v.line
	case captured:
		return v.captured[p.at]
	}
	return p.text
}

// escaped fills in the template for a URL: it percent-encodes the values (RFC 3986 section 2.1).
func (t template) escaped(v *values, due int64) string {
	var dst []byte
	for i := range t {
		if p := t[i : i+1]; p[0].kind == literal {
			dst = append(dst, p[0].text...)
		} else {
			word := url.QueryEscape(string(p.append(nil, v, 0, due)))
			dst = append(dst, strings.ReplaceAll(word, "+", "%20")...)
		}
	}
	return string(dst)
}

// claims are the numbers beside a received message, by the kind of their placeholder.
type claims [captured]struct {
	value uint64
	given bool
}

// agree reports whether the numbers are those of the message: its stamp, and its due
// time in milliseconds since 1970.
func (n *claims) agree(s stamp, due uint64) bool {
	for kind, want := range [...]uint64{connOf: uint64(s.stream), seqOf: uint64(s.seq), timeOf: due} {
		if n[kind].given && n[kind].value != want {
			return false
		}
	}
	return true
}

func (p *piece) isNumber() bool { return p.kind == connOf || p.kind == seqOf || p.kind == timeOf }

// ambiguous returns the first number whose end cannot be found: a digit may follow it.
func (t template) ambiguous() (name string, found bool) {
	for i, p := range t[:max(len(t)-1, 0)] {
		next := t[i+1]
		if p.isNumber() && (next.kind != literal || next.text[0] >= '0' && next.text[0] <= '9') {
			return p.text, true
		}
	}
	return "", false
}

// match takes t off the front of p. Numbers may have any value, which goes into n.
func (t template) match(p []byte, v *values, n *claims) (rest []byte, ok bool) {
	for i := range t {
		q := &t[i]
		if !q.isNumber() {
			word := q.word(v)
			if len(p) < len(word) || string(p[:len(word)]) != word {
				return nil, false
			}
			p = p[len(word):]
			continue
		}
		digits := len(p) - len(bytes.TrimLeft(p, "0123456789"))
		value, err := strconv.ParseUint(string(p[:digits]), 10, 64)
		if err != nil || digits > 1 && p[0] == '0' {
			return nil, false
		}
		p = p[digits:]
		n[q.kind].value, n[q.kind].given = value, true
	}
	return p, true
}
