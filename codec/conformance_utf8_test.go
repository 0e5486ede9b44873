package codec

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// octets returns a text message in fragments of n bytes.
func octets(first byte, payload string, n int) (frames [][]byte) {
	for piece := range slices.Chunk([]byte(payload), n) {
		frames = append(frames, frameOf(first, string(piece)))
		first = 0x00
	}
	frames[len(frames)-1][0] |= 0x80
	return frames
}

// Section 6: UTF-8.
func utf8Cases() (all []conformanceCase) {
	const plain, greek, rest = "Hello-µ@ßöäüàá-UTF-8!!", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "edited"
	const surrogate, beyond = greek + "\xed\xa0\x80" + rest, greek + "\xf4\x90\x80\x80" + rest
	bad := func(id string, steps ...step) {
		all = append(all, conformanceCase{id: id, steps: steps, fails: []uint16{1007}})
	}
	all = append(all,
		echoed("6.1.1", opText, "", 0, frameOf(0x81, "")),
		echoed("6.1.2", opText, "", 0, frameOf(0x01, ""), frameOf(0x00, ""), frameOf(0x80, "")),
		echoed("6.1.3", opText, "middle frame payload", 0, frameOf(0x01, ""), frameOf(0x00, "middle frame payload"),
			frameOf(0x80, "")),
		echoed("6.2.1", opText, plain, 0, frameOf(0x81, plain)),
		echoed("6.2.2", opText, plain, 0, frameOf(0x01, plain[:12]), frameOf(0x80, plain[12:])),
		echoed("6.2.3", opText, plain, 0, octets(0x01, plain, 1)...),
		echoed("6.2.4", opText, greek, 0, octets(0x01, greek, 1)...))
	bad("6.3.1", step{send: [][]byte{frameOf(0x81, surrogate)}})
	bad("6.3.2", step{send: octets(0x01, surrogate, 1)})

	// Fail fast: nothing comes behind the byte that makes the text invalid.
	whole := frameOf(0x81, beyond)
	head := len(whole) - len(beyond)
	bad("6.4.1", step{send: [][]byte{frameOf(0x01, greek)}}, step{send: [][]byte{frameOf(0x00, "\xf4\x90\x80\x80")}})
	bad("6.4.2", step{send: [][]byte{frameOf(0x01, beyond[:12])}}, step{send: [][]byte{frameOf(0x00, beyond[12:13])}})
	bad("6.4.3", step{send: [][]byte{whole[:head+11]}}, step{send: [][]byte{whole[head+11 : head+15]}})
	bad("6.4.4", step{send: [][]byte{whole[:head+12]}}, step{send: [][]byte{whole[head+12 : head+13]}})

	for i, texts := range utf8Texts() {
		for j, s := range texts {
			id := fmt.Sprintf("6.%d.%d", 5+i, j+1)
			if utf8.ValidString(s) {
				all = append(all, echoed(id, opText, s, 0, frameOf(0x81, s)))
			} else {
				bad(id, step{send: [][]byte{frameOf(0x81, s)}})
			}
		}
	}
	return all
}

// utf8Texts returns the texts of 6.5 to 6.23, after Markus Kuhn's UTF-8 decoder stress test.
func utf8Texts() [][]string {
	const word = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	var prefixes, lonely, nonCharacters []string
	for i := range len(word) {
		prefixes = append(prefixes, word[:i+1])
	}
	var continuations strings.Builder
	for c := 0x80; c < 0xbf; c++ {
		continuations.WriteByte(byte(c))
	}
	for _, r := range [][2]byte{{0xc0, 0xdf}, {0xe0, 0xef}, {0xf0, 0xf7}, {0xf8, 0xfb}, {0xfc, 0xfd}} {
		var s strings.Builder
		for c := r[0]; c < r[1]; c++ {
			s.WriteByte(c)
			s.WriteByte(' ')
		}
		lonely = append(lonely, s.String())
	}
	cut := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80", "\xdf", "\xef\xbf",
		"\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	nonCharacters = []string{"\xef\xbf\xbe", "\xef\xbf\xbf"}
	for plane := rune(0x1fffe); plane <= 0x10fffe; plane += 0x10000 {
		nonCharacters = append(nonCharacters, string(plane), string(plane+1))
	}
	return [][]string{
		{"hello$world", "hello¢world", "hello€world", "hello\xf0\xa4\xad\xa2world", word},
		prefixes,
		{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"},
		{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"},
		{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"},
		{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"},
		{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80"},
		{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf",
			continuations.String()},
		lonely,
		cut,
		{strings.Join(cut, "")},
		{"\xfe", "\xff", "\xfe\xfe\xff\xff"},
		{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"},
		{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"},
		{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"},
		{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"},
		{"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
			"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"},
		nonCharacters,
		{"\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf"},
	}
}
