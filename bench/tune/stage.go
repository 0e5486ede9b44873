package tune

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/stat"
)

// A Stage is one knob tried: a trial for each value, all else as it was best until then.
type Stage struct {
	Knob   string
	Trials []Trial
	Before Setting // what was set until then; one of the trials has it
}

// Trial is a setting and what its runs measured.
type Trial struct {
	Value   string // of the stage's knob
	Setting Setting
	Reports []*bench.Report // one a round
}

// Rate is the rate of each run.
func (t Trial) Rate() []float64 { return t.each(func(r *bench.Report) float64 { return r.Rate }) }

// CPU is what all servers together took for a message in each run, in microseconds.
func (t Trial) CPU() []float64 {
	return t.each(func(r *bench.Report) float64 {
		return r.Total(func(p bench.ProcessUsage) float64 { return p.PerMessage })
	})
}

// P99 is the 99th percentile of each run's latency, in microseconds.
func (t Trial) P99() []float64 {
	return t.each(func(r *bench.Report) float64 { return float64(r.Latency.P99) })
}

func (t Trial) each(value func(*bench.Report) float64) (all []float64) {
	for _, r := range t.Reports {
		all = append(all, value(r))
	}
	return all
}

// LeftOut is why the trial is not chosen, whatever it measured; empty if it may be. One run that failed or was not valid is enough.
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

// asGood is the part of a rate that is as good as the whole.
const asGood = 0.97

// Best is the trial to use. It is the one that was set before unless another is better by more than the spread of their runs, as stat.Differ says: more than 3 % faster, or
// as fast for less CPU time a message. Of several such it is the one that takes the least CPU time of those whose rate is within 3 % of the highest. sure tells that
// there is a better one, or that the one before beats all others in this way.
func (s Stage) Best() (best Trial, sure bool) {
	before := s.Trials[slices.IndexFunc(s.Trials, func(t Trial) bool { return t.Setting == s.Before })]
	if before.LeftOut() != "" {
		return before, false // there is nothing to measure the others by
	}
	others := slices.DeleteFunc(slices.Clone(s.Trials), func(t Trial) bool { return t.LeftOut() != "" || t.Setting == s.Before })
	better := slices.DeleteFunc(slices.Clone(others), func(t Trial) bool { return !t.beats(before) })
	if len(better) == 0 {
		return before, len(others) > 0 && !slices.ContainsFunc(others, func(t Trial) bool { return !before.beats(t) })
	}
	top := stat.Median(slices.MaxFunc(better, by(Trial.Rate)).Rate())
	better = slices.DeleteFunc(better, func(t Trial) bool { return stat.Median(t.Rate()) < asGood*top })
	return slices.MinFunc(better, by(Trial.CPU)), true
}

func by(figure func(Trial) []float64) func(a, b Trial) int {
	return func(a, b Trial) int { return cmp.Compare(stat.Median(figure(a)), stat.Median(figure(b))) }
}

// beats tells whether t is better than u by more than their spread.
func (t Trial) beats(u Trial) bool {
	mine, other := stat.Median(t.Rate()), stat.Median(u.Rate())
	if other < asGood*mine && stat.Differ(t.Rate(), u.Rate()) {
		return true
	}
	return mine >= asGood*other && by(Trial.CPU)(t, u) < 0 && stat.Differ(t.CPU(), u.CPU())
}
