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

// A template is text with placeholders, which are filled in for each connection or message. It is static.
type template []piece

// piece is a literal, or a placeholder.
type piece struct {
	kind pieceKind
	text string // literal
	at   int    // captured: its place in who.captured
}

type pieceKind uint8

const (
	literal  pieceKind = iota
	connOf             // {conn}: the number of the connection, from 0
	seqOf              // {seq}: the number of the message on its connection, from 0
	timeOf             // {time}: when it was due, in milliseconds since 1970
	lineOf             // {line}: the connection's line of Options.Data
	captured           // {name}: what the login has captured
)

// fields are the placeholders, but {message} and those of a login.
var fields = map[string]pieceKind{"conn": connOf, "seq": seqOf, "time": timeOf, "line": lineOf}

// placeholder is a name in braces. Braces around anything else stand for themselves, so that JSON is written as it is.
var placeholder = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// parseTemplate reads a template that may have the placeholders allowed, which are fields or captured names.
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
			t = append(t, piece{kind: captured, at: i})
		case slices.Contains(allowed, name):
			t = append(t, piece{kind: fields[name]})
		default:
			return nil, fmt.Errorf("{%s} has no meaning here: there are {%s}", name, strings.Join(slices.Concat(allowed, names), "}, {"))
		}
		s = s[at[1]:]
	}
	return t, nil
}

// has tells whether there is a placeholder of one of the kinds in t.
func (t template) has(kinds ...pieceKind) bool {
	return slices.ContainsFunc(t, func(p piece) bool { return slices.Contains(kinds, p.kind) })
}

// fixed tells whether t is the same for everybody.
func (t template) fixed() bool { return !t.has(connOf, seqOf, timeOf, lineOf, captured) }

// who is the connection that a template is filled in for. It belongs to the connection's loop once it is enrolled.
type who struct {
	conn     uint32
	line     string   // of Options.Data
	captured []string // at login; nil: nothing is to be captured
}

// append fills the template in for message seq of w, due at the time given, in milliseconds since 1970.
func (t template) append(dst []byte, w *who, seq uint32, due int64) []byte {
	for i := range t {
		switch p := &t[i]; p.kind {
		case connOf:
			dst = strconv.AppendUint(dst, uint64(w.conn), 10)
		case seqOf:
			dst = strconv.AppendUint(dst, uint64(seq), 10)
		case timeOf:
			dst = strconv.AppendInt(dst, due, 10)
		default:
			dst = append(dst, p.word(w)...)
		}
	}
	return dst
}

// word is what stands for a piece that is no number.
func (p *piece) word(w *who) string {
	switch p.kind {
	case lineOf:
		return w.line
	case captured:
		return w.captured[p.at]
	}
	return p.text
}

// escaped is a filled-in template for a URL: what is filled in is percent-encoded (RFC 3986 section 2.1).
func (t template) escaped(w *who, due int64) string {
	var dst []byte
	for i := range t {
		if p := t[i : i+1]; p[0].kind == literal {
			dst = append(dst, p[0].text...)
		} else {
			word := url.QueryEscape(string(p.append(nil, w, 0, due)))
			dst = append(dst, strings.ReplaceAll(word, "+", "%20")...)
		}
	}
	return string(dst)
}

// claims are the numbers that stand beside a message in its wrap.
type claims struct {
	conn, seq, time          uint64
	hasConn, hasSeq, hasTime bool
}

// agree tells whether they are those of the message's stamp, which was due at the time given, in milliseconds since 1970.
func (n *claims) agree(s stamp, due uint64) bool {
	return (!n.hasConn || n.conn == uint64(s.stream)) && (!n.hasSeq || n.seq == uint64(s.seq)) && (!n.hasTime || n.time == due)
}

// ambiguous is the first number in t of which nobody can tell where it ends: a digit may follow it.
func (t template) ambiguous() (name string, ok bool) {
	for i, p := range t[:max(len(t)-1, 0)] {
		if next := t[i+1]; p.isNumber() && (next.kind != literal || next.text[0] >= '0' && next.text[0] <= '9') {
			for name, kind := range fields {
				if kind == p.kind {
					return name, true
				}
			}
		}
	}
	return "", false
}

func (p *piece) isNumber() bool { return p.kind == connOf || p.kind == seqOf || p.kind == timeOf }

// match takes t off the front of p, as w should receive it. A number in it may be any, and those that the stamp has too go into n.
func (t template) match(p []byte, w *who, n *claims) (rest []byte, ok bool) {
	for i := range t {
		q := &t[i]
		if !q.isNumber() {
			word := q.word(w)
			if len(p) < len(word) || string(p[:len(word)]) != word {
				return nil, false
			}
			p = p[len(word):]
			continue
		}
		digits := len(p) - len(bytes.TrimLeft(p, "0123456789"))
		v, err := strconv.ParseUint(string(p[:digits]), 10, 64)
		if err != nil || digits > 1 && p[0] == '0' {
			return nil, false
		}
		switch p = p[digits:]; q.kind {
		case connOf:
			n.conn, n.hasConn = v, true
		case seqOf:
			n.seq, n.hasSeq = v, true
		case timeOf:
			n.time, n.hasTime = v, true
		}
	}
	return p, true
}
