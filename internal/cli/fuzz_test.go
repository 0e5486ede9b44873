package cli

import (
	"math"
	"testing"
)

// A number on the command line is refused, or is one.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"500", "10k", "1.5M", "-1", "nan", "inf", "1e400", "k", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := parseSuffixed(s); err == nil && (v < 0 || math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Fatalf("%q becomes %v", s, v)
		}
	})
}
