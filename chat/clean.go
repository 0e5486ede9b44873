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
	errName    = errors.New("a name has 1 to 24 visible characters")
	errText    = errors.New("a message has 1 to 2000 characters")
	errControl = errors.New("a message has no control characters but line breaks and tabs")
)

// cleanName trims a name of a user or room, and refuses what cannot be seen or pretends to be something else: control characters, line breaks, zero-width and
// direction-changing characters. Variation selectors, which keyboards put after emoji, are taken away: without them names that look the same are the same.
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

// invisible reports whether r takes no ink: formats, fillers such as U+3164, and the empty Braille pattern; and private ones, which look as they like.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Co, unicode.Other_Default_Ignorable_Code_Point) || r == '\u2800'
}

// cleanText trims a message and refuses control characters, which could drive a terminal, but for line breaks and tabs.
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

// shorten cuts what a client sent to what an error message may repeat.
func shorten(s string) string {
	if r := []rune(s); len(r) > maxName {
		return string(r[:maxName]) + "…"
	}
	return s
}
