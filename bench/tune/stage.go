package tune

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/significance"
)

// A Stage is one knob tried, with all others at their best value so far.
type Stage struct {
	Knob   string
	Trials []Trial // one for each value
	Before Setting // the setting so far; one of the trials has it
}

// Trial is a setting and its runs.
type Trial struct {
	Value   string // of the stage's knob
	Setting Setting
	Reports []*bench.Report // one for each round
}

// Rate returns the rate of each run.
func (t Trial) Rate() []float64 { return t.each(func(r *bench.Report) float64 { return r.Rate }) }

// CPU returns the CPU time of all servers per message of each run, in microseconds.
func (t Trial) CPU() []float64 {
	return t.each(func(r *bench.Report) float64 {
		return r.Total(func(p bench.ProcessUsage) float64 { return p.PerMessage })
	})
}

// P99 returns the 99th percentile of each run's latency, in microseconds.
func (t Trial) P99() []float64 {
	return t.each(func(r *bench.Report) float64 { return float64(r.Latency.P99) })
}

func (t Trial) each(value func(*bench.Report) float64) (all []float64) {
	for _, r := range t.Reports {
		all = append(all, value(r))
	}
	return all
}

// LeftOut says why the trial cannot be chosen: one of its runs failed or was not valid. It is empty
// if the trial can be chosen.
func (t Trial) LeftOut() string {
	for _, r := range t.Reports {
		word := "INVALID"
		switch {
		case r.Verdict.Failed:
			word = "FAILED"
		case r.Verdict.Valid:
			continue
		}
		return fmt.Sprintf("left out, %s: %s", word, cmp.Or(slices.Concat(r.Verdict.Reasons, []string{"no reason given"})...))
	}
	return ""
}

// asGood is the part of a rate that counts as good as the whole.
const asGood = 0.97

// Best returns the trial to use. It is the one with the setting so far, unless others beat it: they
// are more than 3 % faster, or as fast for less CPU time per message, and significance.Differ finds
// the difference. Of those within 3 % of the fastest it is the one with the least CPU time. sure
// means that there is such a trial, or that the setting so far beats all others in this way.
func (s Stage) Best() (best Trial, sure bool) {
	before := s.Trials[slices.IndexFunc(s.Trials, func(t Trial) bool { return t.Setting == s.Before })]
	if before.LeftOut() != "" {
		return before, false // there is nothing to compare with
	}
	var others, better []Trial
	top := 0.0
	for _, t := range s.Trials {
		if t.LeftOut() != "" || t.Setting == s.Before {
			continue
		}
		if others = append(others, t); t.beats(before) {
			better, top = append(better, t), max(top, significance.Median(t.Rate()))
		}
	}
	if len(better) == 0 {
		return before, len(others) > 0 && !slices.ContainsFunc(others, func(t Trial) bool { return !before.beats(t) })
	}
	better = slices.DeleteFunc(better, func(t Trial) bool { return significance.Median(t.Rate()) < asGood*top })
	return slices.MinFunc(better, func(a, b Trial) int {
		return cmp.Compare(significance.Median(a.CPU()), significance.Median(b.CPU()))
	}), true
}

// beats reports whether t is better than u by more than the spread of their runs.
func (t Trial) beats(u Trial) bool {
	mine, other := significance.Median(t.Rate()), significance.Median(u.Rate())
	if other < asGood*mine && significance.Differ(t.Rate(), u.Rate()) {
		return true
	}
	return mine >= asGood*other && significance.Median(t.CPU()) < significance.Median(u.CPU()) &&
		significance.Differ(t.CPU(), u.CPU())
}
