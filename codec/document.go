package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// ErrDocument is returned when a payload is not one strict JSON document; see CheckDocument.
var ErrDocument = errors.New("codec: not one strict JSON document")

const (
	maxDepth  = 128     // arrays and objects inside each other
	maxNumber = 1024    // bytes of one number
	maxNames  = 1 << 16 // members of all objects that are open at once
)

// CheckDocument returns nil when doc is exactly one JSON document that every
// parser reads the same way, and ErrDocument otherwise. Beyond the grammar of
// RFC 8259 it refuses what parsers are known to disagree about:
//
//   - an object naming one member twice, escapes resolved ("a" is "\u0061"):
//     some take the first, some the last
//   - invalid UTF-8, lone surrogates (\ud800), a byte order mark
//   - the character NUL, also as \u0000: some end the string there
//   - numbers beyond a float64 or longer than 1,024 bytes
//   - arrays and objects nested deeper than 128
//   - an object of more than 65,536 members, those of the objects around it
//     that stand before it counted
//
// White space around the document is allowed, other bytes after it are not. The time needed is
// linear in the document's length. It allocates only while more than 32 names are open at once.
func CheckDocument(doc []byte) error {
	if uint64(len(doc)) > math.MaxUint32 {
		return ErrDocument
	}
	s := scanner{b: doc}
	if !s.value(maxDepth) {
		return ErrDocument
	}
	s.space()
	if s.i != len(doc) {
		return ErrDocument
	}
	return nil
}

// scanner walks over one document. Owned by one call of CheckDocument.
type scanner struct {
	b     []byte // bound: none, the caller's
	i     int
	names names
}

// space skips white space.
func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// token skips white space and c; false when something else stands there.
func (s *scanner) token(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// value skips a value with at most depth arrays and objects inside each other.
func (s *scanner) value(depth int) bool {
	s.space()
	if s.i == len(s.b) {
		return false
	}
	switch s.b[s.i] {
	case '"':
		return s.text()
	case '{':
		return depth > 0 && s.object(depth-1)
	case '[':
		return depth > 0 && s.array(depth-1)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(w string) bool {
	end := s.i + len(w)
	if end > len(s.b) || string(s.b[s.i:end]) != w {
		return false
	}
	s.i = end
	return true
}

func (s *scanner) array(depth int) bool {
	s.i++
	if s.token(']') {
		return true
	}
	for s.value(depth) {
		if s.token(']') {
			return true
		}
		if !s.token(',') {
			return false
		}
	}
	return false
}

func (s *scanner) object(depth int) bool {
	s.i++
	if s.token('}') {
		return true
	}
	outer := s.names.n
	for {
		s.space()
		from := s.i + 1
		if s.i == len(s.b) || s.b[s.i] != '"' || !s.text() {
			return false
		}
		escaped := bytes.IndexByte(s.b[from:s.i], '\\') >= 0
		if !s.names.push(span{uint32(from), uint32(s.i - 1), escaped}) {
			return false
		}
		if !s.token(':') || !s.value(depth) {
			return false
		}
		if s.token('}') {
			break
		}
		if !s.token(',') {
			return false
		}
	}
	return unique(s.b, s.names.pop(outer))
}

// text skips a string. The cursor stands on its opening quote.
func (s *scanner) text() bool {
	s.i++
	for {
		s.plain()
		if s.i == len(s.b) {
			return false
		}
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < ' ':
			return false
		case c < utf8.RuneSelf:
			s.i++
		default:
			r, n := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && n <= 1 {
				return false
			}
			s.i += n
		}
	}
}

// plain skips, eight bytes at a time, the bytes inside a string that need no second look: ASCII
// other than quote, backslash and control characters.
func (s *scanner) plain() {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for s.i+8 <= len(s.b) {
		x := binary.LittleEndian.Uint64(s.b[s.i:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		// A byte's top bit is set in odd when the byte is odd. A borrow may mark
		// plain bytes too, but only behind an odd one, and the first one counts.
		odd := (x | (x-ones*' ')&^x | (quote-ones)&^quote | (slash-ones)&^slash) & tops
		if odd != 0 {
			s.i += bits.TrailingZeros64(odd) / 8
			return
		}
		s.i += 8
	}
}

// escape skips an escape sequence. The cursor stands on its backslash.
func (s *scanner) escape() bool {
	if s.i+1 == len(s.b) {
		return false
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return true
	case 'u':
		unit, ok := hex4(s.b[s.i+2:])
		if !ok || unit == 0 {
			return false
		}
		s.i += 6
		if unit < 0xd800 || unit > 0xdfff {
			return true
		}
		if unit > 0xdbff || s.i+2 > len(s.b) || s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
			return false
		}
		unit, ok = hex4(s.b[s.i+2:])
		s.i += 6
		return ok && 0xdc00 <= unit && unit <= 0xdfff
	}
	return false
}

// hex4 reads the four hexadecimal digits in front of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (s *scanner) number() bool {
	from := s.i
	if s.b[s.i] == '-' {
		s.i++
	}
	switch {
	case s.i < len(s.b) && s.b[s.i] == '0':
		s.i++
	case s.digits() == 0:
		return false
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if s.digits() == 0 {
			return false
		}
	}
	exponent := 0
	if s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if exponent = s.digits(); exponent == 0 {
			return false
		}
	}
	// 200 digits and an exponent of two more stay below 1e308.
	size := s.i - from
	if exponent <= 2 && size <= 200 {
		return true
	}
	if size > maxNumber {
		return false
	}
	_, err := strconv.ParseFloat(string(s.b[from:s.i]), 64)
	return err == nil
}

// digits skips digits and returns how many.
func (s *scanner) digits() int {
	from := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - from
}
