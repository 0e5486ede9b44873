package codec

import (
	"slices"
	"strings"
)

// extension is one element of a Sec-WebSocket-Extensions header.
type extension struct {
	name   string
	params []header // bound: the head of an HTTP request
}

// readExtensions reads the list of RFC 6455 section 9.1; false when it is malformed.
func readExtensions(list string) (all []extension, ok bool) {
	s := fieldScanner{list}
	for {
		for s.take(',') {
		}
		if s.s == "" {
			return all, true
		}
		e := extension{name: s.token()}
		if e.name == "" {
			return nil, false
		}
		for s.take(';') {
			p := header{name: s.token()}
			if p.name == "" {
				return nil, false
			}
			if s.take('=') {
				if p.value, ok = s.value(); !ok {
					return nil, false
				}
			}
			e.params = append(e.params, p)
		}
		if s.s != "" && s.s[0] != ',' {
			return nil, false
		}
		all = append(all, e)
	}
}

// fieldScanner walks over a header's value. Owned by one call.
type fieldScanner struct{ s string }

// take skips white space, then c if it stands there, then white space.
func (s *fieldScanner) take(c byte) bool {
	s.s = strings.TrimLeft(s.s, " \t")
	if s.s == "" || s.s[0] != c {
		return false
	}
	s.s = strings.TrimLeft(s.s[1:], " \t")
	return true
}

func (s *fieldScanner) token() string {
	i := 0
	for i < len(s.s) && isTokenByte(s.s[i]) {
		i++
	}
	token := s.s[:i]
	s.s = strings.TrimLeft(s.s[i:], " \t")
	return token
}

// value reads a token, which may stand in quotes.
func (s *fieldScanner) value() (string, bool) {
	if !s.take('"') {
		v := s.token()
		return v, v != ""
	}
	v, rest, found := strings.Cut(s.s, `"`)
	if !found || !IsToken(v) {
		return "", false
	}
	s.s = strings.TrimLeft(rest, " \t")
	return v, true
}

// accept reports whether a server can honour an offer of permessage-deflate (RFC 7692 section 7.1),
// and how large its window may be; 0 when the offer names no size. The server honours small windows
// by compressing only messages that fit into them: no reference in such a message goes further
// back.
func (e *extension) accept() (window uint8, ok bool) {
	if e.name != "permessage-deflate" {
		return 0, false
	}
	for i, p := range e.params {
		if named(e.params[:i], p.name) {
			return 0, false
		}
		switch p.name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if p.value != "" {
				return 0, false
			}
		case "client_max_window_bits": // any will do: we inflate with the largest
			if _, ok := windowBits(p.value); !ok && p.value != "" {
				return 0, false
			}
		case "server_max_window_bits":
			if window, ok = windowBits(p.value); !ok {
				return 0, false
			}
		default:
			return 0, false
		}
	}
	return window, true
}

// agreed reports whether a client can use a server's answer to deflateOffer.
func (e *extension) agreed() bool {
	alone := false
	for i, p := range e.params {
		if named(e.params[:i], p.name) {
			return false
		}
		switch p.name {
		case "server_no_context_takeover":
			alone = p.value == ""
		case "client_no_context_takeover":
			if p.value != "" {
				return false
			}
		case "server_max_window_bits":
			if _, ok := windowBits(p.value); !ok {
				return false
			}
		default: // also client_max_window_bits, which was not offered
			return false
		}
	}
	return alone && e.name == "permessage-deflate"
}

func named(params []header, name string) bool {
	return slices.ContainsFunc(params, func(p header) bool { return p.name == name })
}

// windowBits reads 8 to 15, without leading zeros.
func windowBits(s string) (uint8, bool) {
	switch {
	case s == "8", s == "9":
		return s[0] - '0', true
	case len(s) == 2 && s[0] == '1' && '0' <= s[1] && s[1] <= '5':
		return 10 + s[1] - '0', true
	}
	return 0, false
}
