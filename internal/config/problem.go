package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Problem is one thing that is wrong with a file or with a variable of the environment.
type Problem struct {
	File string // empty: the environment
	Line int    // 0: the whole file
	Key  string // or the variable; empty: none
	Text string
}

// Error returns FILE:LINE: KEY: TEXT, without what is not known.
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Text
}

// Explain returns what the value of a setting must be, for the error of a flag that has refused the
// value.
func Explain(err error) string {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = invalid.Unwrap()
	}
	number, ok := errors.AsType[*strconv.NumError](err)
	switch {
	case ok && errors.Is(number, strconv.ErrRange):
		return "out of range"
	case ok && number.Func == "ParseBool":
		return "must be true or false"
	case ok:
		return "must be a whole number"
	case strings.HasPrefix(err.Error(), "time: "):
		return "must be a time with its unit, for example 10s, 1m30s or 200ms"
	}
	return err.Error()
}

// Nearest returns the name that differs least from one that does not exist, or "" if none is
// similar.
func Nearest(name string, names []string) string {
	best, least := "", len(name)/3+1
	for _, n := range names {
		if d := distance(name, n); d < least || d == least && best == "" {
			best, least = n, d
		}
	}
	return best
}

// distance returns the least number of insertions, deletions and replacements of bytes that make b
// of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
