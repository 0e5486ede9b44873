package significance

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{200, 100}, 150}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 100}, 3.5}} {
		before := slices.Clone(c.v)
		if got := Median(c.v); got != c.want || !slices.Equal(c.v, before) {
			t.Errorf("of %v: %v, want %v", before, got, c.want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("there is a median of nothing")
	}
}

func TestDiffer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b []float64
		want bool
	}{
		"one each tells nothing":                  {[]float64{1}, []float64{100}, false},
		"two of a side tell nothing":              {[]float64{1, 1}, []float64{100, 100, 100, 100}, false},
		"three, apart by more than both are wide": {[]float64{10, 11, 12}, []float64{15, 18, 19}, true},
		"three, apart by just so much":            {[]float64{10, 11, 12}, []float64{15, 17, 19}, false},
		"three, overlapping":                      {[]float64{10, 11, 12}, []float64{11, 12, 13}, false},
		"three, equal":                            {[]float64{10, 10, 10}, []float64{10, 10, 10}, false},
		"three against many":                      {[]float64{10, 11, 12}, []float64{20, 20, 20, 21, 21}, true},
		"four, no two sides mixed":                {[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, true},
		"four, one of them mixed":                 {[]float64{1, 2, 3, 5}, []float64{4, 6, 7, 8}, false},
		"four, all equal":                         {[]float64{5, 5, 5, 5}, []float64{5, 5, 5, 5}, false},
		"one far outlier does not hide it":        {[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 900}, true},
	} {
		if got, back := Differ(c.a, c.b), Differ(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%s: %v, and %v the other way round", name, got, back)
		}
	}
}

// TestMannWhitney compares with tables of the distribution: U = 0 of 4 and 4 is 2/70, U = 2 of 5
// and 5 is 8/252.
func TestMannWhitney(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2. / 70},
		{[]float64{1, 2, 3, 4, 7}, []float64{5, 6, 8, 9, 10}, 8. / 252},
		{[]float64{1, 4}, []float64{2, 3}, 1},
		{[]float64{1, 1}, []float64{1, 2}, 1},
	} {
		if got := mannWhitney(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// TestChance draws both sides from one distribution. Differ reports a difference as often as its
// documentation says, and not more often.
func TestChance(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for n, most := range map[int]float64{3: 0.03, 4: 0.05, 6: 0.06} {
		const draws = 2000
		found := 0
		for range draws {
			a, b := make([]float64, n), make([]float64, n)
			for i := range n {
				a[i], b[i] = r.NormFloat64(), r.NormFloat64()
			}
			if Differ(a, b) {
				found++
			}
		}
		if part := float64(found) / draws; part > most || part == 0 {
			t.Errorf("%d a side: %v of equal ones are called different, want more than none and at most %v", n, part, most)
		}
	}
}
