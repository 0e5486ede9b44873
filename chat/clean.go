package chat

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName = 24   // characters of a name of a user or room
	maxText = 2000 // characters of a message
)

var (
	errName    = errors.New("a name must have between 1 and 24 visible characters")
	errText    = errors.New("a message must have between 1 and 2000 characters")
	errControl = errors.New("a message must not contain control characters except line breaks and tabs")
)

// cleanName normalizes a name of a user or room. It rejects characters that are invisible or could
// disguise the name: control characters, line breaks, zero-width and direction-changing characters.
// It removes variation selectors, which keyboards add to emoji, so that names that look the same
// are equal.
func cleanName(s string) (string, error) {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if n := utf8.RuneCountInString(s); n == 0 || n > maxName || !utf8.ValidString(s) {
		return "", errName
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) || invisible(r) {
			return "", errName
		}
	}
	return s, nil
}

// invisible reports whether r is not visible: format characters, fillers such as U+3164, and the
// empty Braille pattern. It includes private-use characters, whose look is not defined.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Co, unicode.Other_Default_Ignorable_Code_Point) || r == '\u2800'
}

// cleanText trims a message. It rejects control characters other than line breaks and tabs, because
// they could control a terminal.
func cleanText(s string) (string, error) {
	s = strings.TrimSpace(s)
	if n := utf8.RuneCountInString(s); n == 0 || n > maxText || !utf8.ValidString(s) {
		return "", errText
	}
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return "", errControl
		}
	}
	return s, nil
}

// shorten shortens text from a client that an error message repeats.
func shorten(s string) string {
	if r := []rune(s); len(r) > maxName {
		return string(r[:maxName]) + "..."
	}
	return s
}
