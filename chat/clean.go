package chat

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName = 24   // characters of a name of a user or room
	maxText = 2000 // characters of a message
)

var (
	errText    = errors.New("a message must have between 1 and 2000 characters, one of them visible")
	errControl = errors.New("a message must not contain control characters except line breaks and tabs")
)

// cleanLabel normalizes a short text that people see or that identifies a request. It rejects
// characters that are invisible or could disguise it: control characters, line breaks, zero-width
// and direction-changing characters. It removes variation selectors, which keyboards add to emoji.
// So labels that look the same are equal.
func cleanLabel(s string) (label string, ok bool) {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if n := utf8.RuneCountInString(s); n == 0 || n > maxName || !utf8.ValidString(s) {
		return "", false
	}
	return s, !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || invisible(r) })
}

// invisible reports whether r is not visible: format characters, fillers such as U+3164, and the
// empty Braille pattern. It includes private-use characters, whose look is not defined.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Co, unicode.Other_Default_Ignorable_Code_Point,
		unicode.Variation_Selector) || r == '\u2800'
}

// visible reports whether r shows something by itself.
func visible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) && !invisible(r)
}

// blankLines matches three or more lines without anything visible, and the line break before them.
var blankLines = regexp.MustCompile(`\n([\p{Z}\p{Cf}\x{2800}\t]*\n){3,}`)

// cleanText trims a message. It rejects a message without anything visible, and control characters
// other than line breaks and tabs, because they could control a terminal. It leaves two of several
// empty lines, and removes characters that reverse the text after them.
func cleanText(s string) (string, error) {
	s = strings.TrimSpace(s)
	if n := utf8.RuneCountInString(s); n == 0 || n > maxText || !utf8.ValidString(s) {
		return "", errText
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		return "", errControl
	}
	if !strings.ContainsFunc(s, visible) {
		return "", errText
	}
	s = strings.NewReplacer("\u202d", "", "\u202e", "").Replace(s)
	return blankLines.ReplaceAllString(s, "\n\n\n"), nil
}

// shorten shortens text from a client that an error message repeats.
func shorten(s string) string {
	if r := []rune(s); len(r) > maxName {
		return string(r[:maxName]) + "..."
	}
	return s
}
