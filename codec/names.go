package codec

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"unicode/utf8"
)

// span is the inside of a member's name in a document, without the quotes.
type span struct {
	from, to uint32
	escaped  bool // there are backslashes in it
}

// names are the names of all open objects, those of the innermost object last. They stay on the
// stack until they outgrow room.
type names struct {
	n    int
	room [32]span
	more []span // in place of room once it is not nil; bound: a JSON document
}

// push puts a name on top. It reports false when there are too many.
func (s *names) push(name span) bool {
	switch {
	case s.n == maxNames:
		return false
	case s.more != nil:
		s.more = append(s.more[:s.n], name)
	case s.n < len(s.room):
		s.room[s.n] = name
	default:
		s.more = make([]span, s.n+1, 4*s.n)
		copy(s.more, s.room[:]) // an append to room would move it to the heap
		s.more[s.n] = name
	}
	s.n++
	return true
}

// pop removes all but the first n names and returns them, valid until the next push.
func (s *names) pop(n int) []span {
	from, to := n, s.n
	s.n = n
	if s.more != nil {
		return s.more[from:to]
	}
	return s.room[from:to]
}

// unique reports whether no name of doc occurs twice.
func unique(doc []byte, names []span) bool {
	escaped := false
	for _, x := range names {
		escaped = escaped || x.escaped
	}
	if escaped && len(names) > 1 || len(names) > fewNames {
		return uniqueOfMany(doc, names)
	}
	for i, x := range names {
		for _, y := range names[:i] {
			if x.to-x.from == y.to-y.from && bytes.Equal(doc[x.from:x.to], doc[y.from:y.to]) {
				return false
			}
		}
	}
	return true
}

// fewNames is the largest number of names that are compared each with each.
const fewNames = 16

// uniqueOfMany puts the names into a table by their hashes. It looks at each character of each name
// once, whatever the names are: the sender does not know the seed.
func uniqueOfMany(doc []byte, names []span) bool {
	var room [4 * fewNames * 2]uint64
	table := room[:]
	if 2*len(names) > len(room) {
		table = make([]uint64, 1<<bits.Len(uint(2*len(names))))
	}
	const index = 1<<32 - 1 // in an entry: the number of the name plus 1; above it is a part of the hash
	seed, last := maphash.MakeSeed(), uint64(len(table)-1)
	for i, x := range names {
		h := hashOf(seed, doc, x)
		at := h & last
		for ; table[at] != 0; at = (at + 1) & last {
			if (table[at]^h)&^index == 0 && same(doc, x, names[table[at]&index-1]) {
				return false
			}
		}
		table[at] = h&^index | uint64(i+1)
	}
	return true
}

// hashOf returns the hash of a name's characters, with escapes resolved.
func hashOf(seed maphash.Seed, doc []byte, x span) uint64 {
	b := doc[x.from:x.to]
	if !x.escaped {
		return maphash.Bytes(seed, b)
	}
	var h maphash.Hash
	h.SetSeed(seed)
	var room [256]byte
	resolved := room[:0]
	for len(b) > 0 {
		if len(resolved) > len(room)-utf8.UTFMax {
			_, _ = h.Write(resolved)
			resolved = room[:0]
		}
		if b[0] != '\\' {
			n := bytes.IndexByte(b, '\\')
			if n < 0 {
				n = len(b)
			}
			_, _ = h.Write(resolved)
			_, _ = h.Write(b[:n])
			resolved, b = room[:0], b[n:]
			continue
		}
		c, n := character(b)
		resolved, b = utf8.AppendRune(resolved, c), b[n:]
	}
	_, _ = h.Write(resolved)
	return h.Sum64()
}

// same reports whether two names of doc have the same characters, with escapes resolved.
func same(doc []byte, x, y span) bool {
	a, b := doc[x.from:x.to], doc[y.from:y.to]
	if !x.escaped && !y.escaped {
		return bytes.Equal(a, b)
	}
	for len(a) > 0 && len(b) > 0 {
		p, n := character(a)
		q, m := character(b)
		if p != q {
			return false
		}
		a, b = a[n:], b[m:]
	}
	return len(a) == len(b)
}

// character returns the first character of a string that was found valid, and the number of bytes
// that it takes.
func character(b []byte) (rune, int) {
	if b[0] != '\\' {
		return utf8.DecodeRune(b)
	}
	switch b[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		high, _ := hex4(b[2:])
		if high < 0xd800 || high > 0xdfff {
			return high, 6
		}
		low, _ := hex4(b[8:])
		return 0x10000 + (high-0xd800)<<10 + (low - 0xdc00), 12
	default:
		return rune(b[1]), 2
	}
}
