package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Micros formats a duration given in microseconds, with three significant digits.
func Micros(us int64) string {
	switch v := float64(us); {
	case v < 999.5:
		return fmt.Sprintf("%d µs", us)
	case v < 999_500:
		return three(v/1e3) + " ms"
	default:
		return three(v/1e6) + " s"
	}
}

func three(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// Count formats a number: 12.3k.
func Count(v float64) string { return scaled(v, 1000, "", "k", "M", "G") }

// sizeOf formats a number of bytes: 1.5 KiB.
func sizeOf(v float64) string { return scaled(v, 1024, " B", " KiB", " MiB", " GiB") }

func scaled(v, step float64, units ...string) string {
	if v < 0 {
		return "-" + scaled(-v, step, units...)
	}
	for v >= step*0.9995 && len(units) > 1 { // what would be printed as the step is 1 of the next unit
		v /= step
		units = units[1:]
	}
	if v >= 100 || v == float64(int(v)) {
		return fmt.Sprintf("%.0f%s", v, units[0])
	}
	return fmt.Sprintf("%.3g%s", v, units[0])
}

// whole formats a number in full: 1,234,567.
func whole(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func cpuTime(us float64) string { return fmt.Sprintf("%.2f µs", us) }

func plural(n int, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "s"):
		what += "es"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// unless returns s, or nothing if empty is true.
func unless(empty bool, s string) string {
	if empty {
		return ""
	}
	return s
}

// clean replaces characters that can confuse a terminal: control characters and those
// that change the direction of text.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return ' '
		}
		return r
	}, s)
}
