package stats

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxName is the most bytes of the name of a module, an interface, a node, and of an address.
	MaxName = 255
	// MaxText is the most bytes of a failure's text.
	MaxText = 1024
	// MaxCodes is the number of failure codes of a row. Further codes count as OtherCode.
	MaxCodes = 64
	// OtherCode stands for all codes that have no room in a row.
	OtherCode uint32 = math.MaxUint32
	// MaxPairs is the number of modules and interfaces that one process reports. Calls of others
	// count for Other.
	MaxPairs = 1024
	// Other is the interface of the calls that have no room.
	Other = "(other)"
	// none is the name of what has none.
	none = "(none)"
)

// Row says how the calls of one interface went. Count is the number of calls of Latency, and the
// sum of Success and all Codes: only what Add, Merge, or Fail together with the other fields have
// made so can be read again.
type Row struct {
	Module, Interface string
	Count, Success    uint64
	Codes             map[uint32]uint64 // calls that failed, by code, which is not 0; nil if there are none
	Latency           Histogram         // of all calls
}

// Add counts a call. Code 0 is success.
func (r *Row) Add(took time.Duration, code uint32) {
	r.Count++
	if code == 0 {
		r.Success++
	} else {
		r.Fail(code, 1)
	}
	r.Latency.Add(took)
}

// Fail adds n calls to those that failed with a code. It changes only Codes.
func (r *Row) Fail(code uint32, n uint64) {
	if r.Codes == nil {
		r.Codes = make(map[uint32]uint64)
	}
	CountCode(r.Codes, code, n)
}

// CountCode adds n calls to those with a code. Past MaxCodes codes they count for OtherCode.
func CountCode(codes map[uint32]uint64, code uint32, n uint64) {
	if _, known := codes[code]; !known && code != OtherCode {
		have := len(codes)
		if _, others := codes[OtherCode]; others {
			have--
		}
		if have >= MaxCodes {
			code = OtherCode
		}
	}
	codes[code] += n
}

// Merge adds the calls of other to r.
func (r *Row) Merge(other *Row) {
	r.Count += other.Count
	r.Success += other.Success
	for code, n := range other.Codes {
		r.Fail(code, n)
	}
	r.Latency.Merge(&other.Latency)
}

// Failure is one call that failed.
type Failure struct {
	Time              time.Time // milliseconds are kept
	Module, Interface string
	Code              uint32
	Addr              string // of the client, or of who reported it; may be empty
	Text              string
}

// Name returns s as the name of a module, an interface or a node, or as an address: 1 to MaxName
// bytes of UTF-8 without control characters. U+FFFD replaces what is not allowed.
func Name(s string) string {
	if s == "" {
		return none
	}
	if !isClean(s) {
		s = strings.Map(func(r rune) rune {
			if isControl(r) {
				return utf8.RuneError
			}
			return r
		}, s)
	}
	return cut(s, MaxName)
}

// Text returns s as the text of a failure: at most MaxText bytes of UTF-8, in which escapes of the
// form \n or \x1b stand for control characters.
func Text(s string) string {
	s = cut(s, MaxText)
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isControl(r) {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return cut(b.String(), MaxText)
}

// isClean reports whether s is UTF-8 without control characters.
func isClean(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl) }

// isControl reports whether a character could change lines or the direction of the text around it.
func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// cut returns the beginning of s, at most n bytes, without a part of a character at its end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}
