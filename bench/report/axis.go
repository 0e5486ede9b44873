package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// axis maps values to a place between 0 and 1.
type axis struct {
	min, max float64
	log      bool
	ticks    []float64
	show     func(float64) string
}

// linear is an axis from first to last with about n round ticks.
func linear(first, last float64, n int, show func(float64) string) axis {
	if !(last > first) {
		last = first + 1
	}
	raw := (last - first) / float64(n)
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, round := range []float64{10, 5, 2} {
		if raw > step*round/2 {
			step *= round
			break
		}
	}
	a := axis{min: first, max: last, show: show}
	for i := math.Ceil(first / step); i*step <= last+step/1e6; i++ {
		a.ticks = append(a.ticks, i*step)
	}
	return a
}

// crowded is more ticks than a logarithmic axis shows before it shows the powers of ten alone.
const crowded = 8

// logarithmic is an axis from one of 1, 2, 5, 10, 20 … to another, with a tick at each between, or at the powers of ten if these are many.
func logarithmic(first, last float64, show func(float64) string) axis {
	var ticks, powers []float64
	for e := math.Floor(math.Log10(math.Max(first, 1e-9))); len(ticks) < 2 || ticks[len(ticks)-1] < last; e++ {
		power := math.Pow(10, e)
		powers = append(powers, power)
		ticks = append(ticks, power, 2*power, 5*power)
	}
	for len(ticks) > 2 && ticks[1] <= first {
		ticks = ticks[1:]
	}
	for len(ticks) > 2 && ticks[len(ticks)-2] >= last {
		ticks = ticks[:len(ticks)-1]
	}
	a := axis{min: ticks[0], max: ticks[len(ticks)-1], log: true, ticks: ticks, show: show}
	if len(ticks) > crowded {
		a.ticks = slices.DeleteFunc(powers, func(v float64) bool { return v < a.min || v > a.max })
	}
	return a
}

// seconds is an axis of time, in minutes or hours where seconds would be many.
func seconds(from, to float64) axis {
	unit, name := 1.0, "s"
	switch {
	case to-from > 3*3600:
		unit, name = 3600, "h"
	case to-from > 300:
		unit, name = 60, "min"
	}
	a := linear(from/unit, to/unit, 7, func(v float64) string { return fmt.Sprintf("%g %s", math.Round(v/unit*100)/100+0, name) }) // + 0: no minus zero
	a.min, a.max = a.min*unit, a.max*unit
	for i := range a.ticks {
		a.ticks[i] *= unit
	}
	return a
}

// nines is an axis of percentiles, its places the number of nines.
func nines(last float64) axis {
	a := axis{max: last, show: func(x float64) string { return strconv.FormatFloat(100*(1-math.Pow(10, -x)), 'g', int(x)+3, 64) }}
	for x := 0.0; x <= last; x++ {
		a.ticks = append(a.ticks, x)
	}
	return a
}

// at is where v stands.
func (a axis) at(v float64) float64 {
	if a.log {
		return math.Log(math.Max(v, a.min)/a.min) / math.Log(a.max/a.min)
	}
	return (v - a.min) / (a.max - a.min)
}
