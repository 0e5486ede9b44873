package codec

import "unicode/utf8"

// utf8Check validates text that comes in pieces. It fails at the first byte that cannot belong to
// valid text. The zero value is at the beginning of a text.
type utf8Check struct {
	tail [utf8.UTFMax]byte // of a character whose end has not come
	n    uint8
}

// more reports whether the text is valid so far.
func (c *utf8Check) more(p []byte) bool {
	for c.n > 0 && len(p) > 0 {
		c.tail[c.n] = p[0]
		c.n++
		p = p[1:]
		if utf8.FullRune(c.tail[:c.n]) { // or an error
			if !utf8.Valid(c.tail[:c.n]) {
				return false
			}
			c.n = 0
		}
	}
	whole := len(p) - unfinished(p)
	if whole < len(p) {
		c.n = uint8(copy(c.tail[:], p[whole:]))
	}
	return utf8.Valid(p[:whole])
}

// end reports whether the text ends with a whole character, and begins a new text.
func (c *utf8Check) end() bool {
	ok := c.n == 0
	c.n = 0
	return ok
}

// unfinished returns the number of bytes, 0 to 3, of an incomplete character at the end of p.
func unfinished(p []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if b := p[len(p)-i:]; utf8.RuneStart(b[0]) {
			if utf8.FullRune(b) {
				return 0
			}
			return i
		}
	}
	return 0
}
