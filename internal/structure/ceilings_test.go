package structure_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// ceiling allows a thing more than the bound for all things. It may only fall: when the figure
// falls, the number here must be lowered.
type ceiling struct {
	most int
	why  string
}

// exceeding compares figures with the bound for all of them, and with the ceilings of those above
// it. A figure may be below its ceiling by slack before the ceiling must be lowered. exceeding
// returns complaints.
func exceeding(unit string, bound, slack int, figures map[string]int,
	ceilings map[string]ceiling) (complaints []string) {
	say := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		n := figures[name]
		switch c, ok := ceilings[name]; {
		case !ok && n > bound:
			say("%s: %d %s, more than %d", name, n, unit, bound)
		case ok && n > c.most:
			say("%s: %d %s, more than its ceiling of %d", name, n, unit, c.most)
		case ok && n > bound && n < c.most-slack:
			say("%s: %d %s: lower its ceiling of %d", name, n, unit, c.most)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ceilings)) {
		switch {
		case figures[name] <= bound:
			say("%s: %d %s: it needs no ceiling any more", name, figures[name], unit)
		case ceilings[name].why == "":
			say("%s: its ceiling gives no reason", name)
		}
	}
	return complaints
}

// wantNone reports complaints.
func wantNone(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}

func TestExceeding(t *testing.T) {
	t.Parallel()
	figures := map[string]int{"within": 10, "above": 11, "at": 20, "near": 18, "fallen": 17, "risen": 21, "mute": 12,
		"small": 10}
	ceilings := map[string]ceiling{
		"at": {20, "it is so"}, "near": {20, "it is so"}, "fallen": {20, "it is so"}, "risen": {20, "it is so"},
		"mute": {12, ""}, "small": {20, "it is so"}, "gone": {20, "it is so"},
	}
	got := exceeding("things", 10, 2, figures, ceilings)
	want := []string{
		"above: 11 things, more than 10",
		"fallen: 17 things: lower its ceiling of 20",
		"risen: 21 things, more than its ceiling of 20",
		"gone: 0 things: it needs no ceiling any more",
		"mute: its ceiling gives no reason",
		"small: 10 things: it needs no ceiling any more",
	}
	if !slices.Equal(got, want) {
		t.Errorf("complaints %q\nwant %q", got, want)
	}
}
