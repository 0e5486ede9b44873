package cli

import (
	"math"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
)

// A number on the command line is refused, or is a number that the option can hold.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"500", "10k", "1.5M", "-1", "nan", "inf", "1e400", "k", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var v float64
		err := (settingFlag{bench.Setting{Field: &v, Min: -1}}).Set(s)
		if err == nil && (v < 0 || math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Fatalf("%q becomes %v", s, v)
		}
		var n int
		if err := (settingFlag{bench.Setting{Field: &n, Min: 1}}).Set(s); err == nil && (n < 1 || float64(n) != v) {
			t.Fatalf("%q becomes %d", s, n)
		}
	})
}

// A flag shows its default until it is set. 0 means none where that is allowed, and is refused
// elsewhere.
func TestSettingFlag(t *testing.T) {
	t.Parallel()
	var n int
	var d time.Duration
	count := settingFlag{bench.Setting{Field: &n, Default: 1000, Min: 1}}
	wait := settingFlag{bench.Setting{Field: &d, Default: float64(2 * time.Second)}}
	if count.String() != "1000" || wait.String() != "2s" {
		t.Errorf("%s and %s", count, wait)
	}
	for _, bad := range []string{"0", "1.5", "-1", "x", "3G", "10m1"} {
		if err := count.Set(bad); err == nil {
			t.Errorf("%s is taken for %d", bad, n)
		}
	}
	if err := count.Set("1.5k"); err != nil || n != 1500 || count.String() != "1500" {
		t.Errorf("%v: %d, %s", err, n, count)
	}
	if err := wait.Set("0"); err != nil || d >= 0 || wait.String() != "0s" {
		t.Errorf("%v: %v, %s", err, d, wait)
	}
}
