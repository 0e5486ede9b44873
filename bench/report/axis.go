package report

import (
	"fmt"
	"math"
	"sort"
	"strconv"
)

// axis maps values to positions between 0 and 1.
type axis struct {
	min, max float64
	log      bool
	ticks    []float64
	show     func(float64) string
}

// linear returns an axis from low to high with about n round ticks.
func linear(low, high float64, n int, show func(float64) string) axis {
	if !(high > low) {
		high = low + 1
	}
	raw := (high - low) / float64(n)
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, round := range []float64{10, 5, 2} {
		if raw > step*round/2 {
			step *= round
			break
		}
	}
	a := axis{min: low, max: high, show: show}
	for i := math.Ceil(low / step); i*step <= high+step/1e6; i++ {
		a.ticks = append(a.ticks, i*step)
	}
	return a
}

// logarithmic returns an axis between two of the values 1, 2, 5, 10, 20 and so on, with a tick at
// each of them. An axis with more than 8 ticks keeps only the powers of ten.
func logarithmic(low, high float64, show func(float64) string) axis {
	var all, powers []float64
	for exponent := -9; exponent <= 12; exponent++ {
		for _, digit := range []float64{1, 2, 5} {
			all = append(all, digit*math.Pow10(exponent))
		}
	}
	from := max(sort.Search(len(all), func(i int) bool { return all[i] > low })-1, 0)
	to := min(max(sort.SearchFloat64s(all, high), from+1), len(all)-1)
	a := axis{min: all[from], max: all[to], log: true, ticks: all[from : to+1], show: show}
	for i := range a.ticks {
		if (from+i)%3 == 0 {
			powers = append(powers, a.ticks[i])
		}
	}
	if len(a.ticks) > 8 {
		a.ticks = powers
	}
	return a
}

// seconds returns a time axis. Long ones are labelled in minutes or hours.
func seconds(from, to float64) axis {
	unit, name := 1.0, "s"
	switch {
	case to-from > 3*3600:
		unit, name = 3600, "h"
	case to-from > 300:
		unit, name = 60, "min"
	}
	a := linear(from/unit, to/unit, 7, func(v float64) string {
		return fmt.Sprintf("%g %s", math.Round(v/unit*100)/100+0, name) // + 0 turns -0 into 0
	})
	a.min, a.max = a.min*unit, a.max*unit
	for i := range a.ticks {
		a.ticks[i] *= unit
	}
	return a
}

// nines returns an axis of percentiles. A value is the number of nines: 2 is 99 %.
func nines(high float64) axis {
	a := axis{max: high, show: func(x float64) string {
		return strconv.FormatFloat(100*(1-math.Pow(10, -x)), 'g', int(x)+3, 64)
	}}
	for x := 0.0; x <= high; x++ {
		a.ticks = append(a.ticks, x)
	}
	return a
}

func (a axis) at(v float64) float64 {
	if a.log {
		return math.Log(max(v, a.min)/a.min) / math.Log(a.max/a.min)
	}
	return (v - a.min) / (a.max - a.min)
}
