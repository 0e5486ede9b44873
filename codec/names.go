package codec

import (
	"bytes"
	"unicode/utf8"
)

// span is the inside of a member's name in a document, quotes left out.
type span struct {
	from, to uint32
	escaped  bool // there are backslashes in it
}

// names are those of all open objects, the innermost object's last. They stay
// on the stack until they outgrow room.
type names struct {
	n    int
	room [32]span
	more []span // in place of room once it is not nil
}

func (s *names) push(name span) {
	switch {
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
}

// pop takes off all but the first n names and returns them, valid until the next push.
func (s *names) pop(n int) []span {
	from, to := n, s.n
	s.n = n
	if s.more != nil {
		return s.more[from:to]
	}
	return s.room[from:to]
}

// unique reports whether no name of doc occurs twice. It may reorder names.
// Sorting keeps a hostile object of a million names from costing a million
// squared; by hand, because what slices.SortFunc is given goes to the heap.
func unique(doc []byte, names []span) bool {
	if len(names) > 16 {
		heapSort(doc, names)
		for i := 1; i < len(names); i++ {
			if compare(doc, names[i-1], names[i]) == 0 {
				return false
			}
		}
		return true
	}
	for i, x := range names {
		for _, y := range names[:i] {
			if same(doc, x, y) {
				return false
			}
		}
	}
	return true
}

func same(doc []byte, x, y span) bool {
	if x.escaped || y.escaped {
		return compare(doc, x, y) == 0
	}
	return x.to-x.from == y.to-y.from && bytes.Equal(doc[x.from:x.to], doc[y.from:y.to])
}

func heapSort(doc []byte, names []span) {
	for i := len(names)/2 - 1; i >= 0; i-- {
		siftDown(doc, names, i)
	}
	for last := len(names) - 1; last > 0; last-- {
		names[0], names[last] = names[last], names[0]
		siftDown(doc, names[:last], 0)
	}
}

// siftDown moves the name at i down to where no name below it is greater.
func siftDown(doc []byte, names []span, i int) {
	for {
		child := 2*i + 1
		if child >= len(names) {
			return
		}
		if child+1 < len(names) && compare(doc, names[child], names[child+1]) < 0 {
			child++
		}
		if compare(doc, names[i], names[child]) >= 0 {
			return
		}
		names[i], names[child] = names[child], names[i]
		i = child
	}
}

// compare orders two names of doc by their characters, escapes resolved.
func compare(doc []byte, x, y span) int {
	a, b := doc[x.from:x.to], doc[y.from:y.to]
	if !x.escaped && !y.escaped {
		return bytes.Compare(a, b)
	}
	for len(a) > 0 && len(b) > 0 {
		p, n := character(a)
		q, m := character(b)
		if p != q {
			return int(p - q)
		}
		a, b = a[n:], b[m:]
	}
	return len(a) - len(b)
}

// character returns the first character of a string already found valid, and
// the bytes it takes.
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
