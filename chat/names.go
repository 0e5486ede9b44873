package chat

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mtibben/confusables"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Names are compared in two ways. The key of a name says whether two spellings are the same name:
// it does not depend on case or on the form in which characters are encoded. The look of a name
// says whether people could mistake it for another one. The gateways know both of a user, as
// groups, so two users never have names with the same key or the same look.

var (
	errName = errors.New("a name must have between 1 and 24 visible characters, at least one letter or digit, " +
		"and at most 2 accents on a letter; / # and @ cannot be its first character")
	errReserved = errors.New("this name is reserved, choose another one")
)

// cleanName normalizes a name to NFKC, in which characters such as full-width and mathematical
// letters become ordinary ones.
func cleanName(s string) (string, error) {
	s, ok := cleanLabel(s)
	if ok {
		s, ok = cleanLabel(norm.NFKC.String(s)) // NFKC may add spaces and characters
	}
	if !ok || strings.ContainsAny(s[:1], "/#@") || strings.ContainsAny(s, "\ufffc\ufffd") ||
		!strings.ContainsFunc(look(s), letterOrDigit) || stacked(s) {
		return "", errName
	}
	return s, nil
}

// cleanUser is cleanName for the name of a user. It rejects names that could be taken for a part of
// the page or for the chat itself.
func cleanUser(s string) (string, error) {
	s, err := cleanName(s)
	if err != nil {
		return "", err
	}
	seen := look(s)
	if slices.ContainsFunc(reserved(), func(word string) bool { return seen == look(word) }) {
		return "", errReserved
	}
	for _, end := range []string{"(you)", " joined", " left"} {
		if strings.HasSuffix(skeleton(s), skeleton(end)) {
			return "", errReserved
		}
	}
	return s, nil
}

func reserved() []string {
	return []string{
		"sluice", "sluice chat", "chat", "system", "server", "admin", "administrator", "moderator", "operator",
		"support", "everyone", "everybody", "all", "here", "channel", "room", "you", "me",
	}
}

// cleanRoom is cleanName for the name of a room. A room's name is its key, so that there is only
// one way to write it. The # that people put before it is not part of it.
func cleanRoom(s string) (string, error) {
	s, err := cleanName(strings.TrimLeft(s, "# \t"))
	if err != nil {
		return "", err
	}
	return cleanName(key(s)) // folding may make it longer
}

// key returns what a name is found by.
func key(name string) string { return norm.NFKC.String(fold(norm.NFKC.String(name))) }

// fold makes case irrelevant (Unicode full case folding).
func fold(s string) string { return cases.Fold().String(s) }

// look returns the same string for names that look alike, in any case: it has the prototypes of
// confusable characters (UTS 39 section 4), and lacks what is easily overlooked: spaces, quotation
// marks, punctuation at the ends, and marks below a letter. The prototype of I and 1 is l, so i is
// the same too.
func look(name string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.In(r, unicode.Pi, unicode.Pf), strings.ContainsRune("'\"`", r), below(r):
			return -1
		case r == 'i':
			return 'l'
		}
		return r
	}, skeleton(name))
	s = strings.TrimFunc(s, func(r rune) bool { return unicode.IsPunct(r) && r != '#' })
	if len(s) > maxLook {
		s = strings.ToValidUTF8(s[:maxLook], "")
	}
	return s
}

// skeleton returns the prototypes of the characters of a name, in one case. The prototype of m is
// rn, and that of M is M, so it replaces characters again after folding.
func skeleton(name string) string {
	return confusables.Skeleton(fold(confusables.Skeleton(norm.NFKC.String(name))))
}

// maxLook bounds a look, in bytes. A few characters have a prototype of many.
const maxLook = 200

// below reports whether r is a mark below a letter.
func below(r rune) bool {
	const attachedBelow, below = 202, 220 // canonical combining classes
	class := norm.NFD.PropertiesString(string(r)).CCC()
	return class == attachedBelow || class == below
}

func letterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }

// stacked reports whether more than two accents are on one letter, or four marks of any kind follow
// it, or a mark has no letter. (Burmese has four marks of which one is an accent in this sense.)
func stacked(s string) bool {
	accents, marks, alone := 0, 0, true
	for _, r := range norm.NFD.String(s) {
		if !unicode.IsMark(r) {
			accents, marks, alone = 0, 0, unicode.IsSpace(r)
			continue
		}
		marks++
		if norm.NFD.PropertiesString(string(r)).CCC() > 0 {
			accents++
		}
		if alone || accents > 2 || marks > 4 {
			return true
		}
	}
	return false
}

// groupsOfName returns the groups of the user with a name: that of its key and that of its look.
func groupsOfName(name string) []string { return []string{groupOfKey(name), "look:" + look(name)} }

// groupOfKey returns the group of the user with a name, in any spelling.
func groupOfKey(name string) string { return "name:" + key(name) }

// ascii reports whether s has ASCII characters only.
func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
