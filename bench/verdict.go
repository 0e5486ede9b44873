package bench

import (
	"fmt"
	"slices"
	"strings"
)

// The limits of a verdict.
const (
	busyLoops    = 0.90 // of the generator's loops
	busyMachine  = 0.95 // of the processors, by the generator and the servers together
	lateAtMedian = 1000 // µs from the due time to the send in an open loop
	leastSent    = 0.95 // of the offered rate

	// foreignPart is the part of the processors that other programs or the hypervisor may take. A
	// system uses less in the background. If a program waits for a tenth of the time its p90 is
	// wrong.
	foreignPart = 0.10

	// cutLeast is the shortest interval, in seconds, that shows that the loops are full.
	cutLeast = 0.2
)

func (r *Report) judge() {
	r.Verdict = Verdict{Valid: true}
	r.judgeAudit()
	total := r.Own.Cores + r.Total(func(p ProcessUsage) float64 { return p.Cores })
	why := r.limit(r.Own.Cores, total)
	r.Verdict.invalid(why != "", "%s", why)
	r.judgeMachine()
	r.judgeSchedule()
	r.judgeFailures()
}

// invalid adds a reason why the run is not valid, if bad is true.
func (v *Verdict) invalid(bad bool, format string, args ...any) {
	if bad {
		v.Valid = false
		v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
	}
}

// failed adds a reason why the run failed, if bad is true.
func (v *Verdict) failed(bad bool, format string, args ...any) {
	if bad {
		v.Failed = true
		v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
	}
}

func (r *Report) judgeAudit() {
	v, a, mode := &r.Verdict, r.Audit, r.Options.Mode
	var faults []string
	for _, f := range a.Faults() {
		faults = append(faults, fmt.Sprintf("%d %s", f.Count, f.Name))
	}
	v.failed(!a.Clean(), "the audit: %s of %d", strings.Join(faults, ", "), a.Expected)
	v.failed(a.Unanswered > 0, "%d connections never got their answer, and made no load from then on", a.Unanswered)
	v.failed(!a.Balanced(), "the audit does not add up: "+
		"%d received are not %d expected - %d lost + %d duplicated + %d unexpected",
		a.Received, a.Expected, a.Lost, a.Duplicated, a.Unexpected)
	oneAnswer := mode == Echo || mode == Connect || mode == Churn || mode == Push
	v.failed(oneAnswer && a.Sent != a.Expected,
		"the audit does not add up: %d sent, and %d answers expected", a.Sent, a.Expected)
	for _, e := range r.Errors {
		v.failed(true, "%d × %s: %s", e.Count, e.Kind, e.Example)
	}
	v.failed(r.Unsent > 0, "%d messages were due and not sent: their connection was closed", r.Unsent)
	v.Reasons = append(v.Reasons, r.remarks()...)
	if r.Interrupted {
		early := fmt.Sprintf("the run was ended after %.1f of %.1f s", r.Seconds, r.Options.Window.Seconds())
		v.Reasons = append(v.Reasons, early)
	}
	v.failed(!r.Interrupted && r.Messages == 0, "nothing arrived in the window")
}

// judgeFailures decides whether the generator may be the cause of failures. It is if no local port
// was left. It may be if it was the limit when the first connection was closed: the server may
// have closed it because of unread or unsent data. The window as a whole does not show that,
// because the load is less afterwards.
func (r *Report) judgeFailures() {
	var own []string // kinds of failure that the generator may have caused
	if r.has("ports") {
		r.Verdict.invalid(true, "the generator had no local port left for a connection")
		own = append(own, "ports")
	}
	if r.has("closed") {
		why := r.limitAtFailure()
		if why == "" && r.late() {
			why = "the generator was behind its schedule"
		}
		if why != "" {
			own = append(own, "closed")
		}
		r.Verdict.invalid(why != "",
			"when the first connection was closed, %s; the server may have closed it for that reason", why)
	}
	a := r.Audit
	others := slices.ContainsFunc(r.Errors, func(e ErrorCount) bool { return !slices.Contains(own, e.Kind) })
	r.Verdict.OwnFault = own != nil && a.Duplicated|a.Reordered|a.Changed|a.Unexpected == 0 && a.Balanced() && !others
}

func (r *Report) has(kind string) bool {
	return slices.ContainsFunc(r.Errors, func(e ErrorCount) bool { return e.Kind == kind })
}

// limitAtFailure says why the generator was the limit in the interval of the first failure, or in
// the interval before; empty if it was not.
func (r *Report) limitAtFailure() string {
	first := slices.IndexFunc(r.Timeline, func(m Interval) bool { return m.Errors > 0 })
	if first < 0 {
		return ""
	}
	for _, m := range r.Timeline[max(first-1, 0) : first+1] {
		total := 0.0
		for _, cores := range m.CPU {
			total += cores
		}
		if why := r.limit(m.CPU[generatorName], total); why != "" && m.Seconds >= cutLeast {
			return why
		}
	}
	return ""
}

// limit says why a generator is the limit if it keeps own cores busy, and total cores together with
// the servers; empty if it is not.
func (r *Report) limit(own, total float64) string {
	switch limit, cpus := r.Own.CoresLimit, float64(r.Machine.CPUs); {
	case limit > 0 && own > busyLoops*limit:
		return fmt.Sprintf("the generator kept %.2f cores busy with %.0f loops: it was the limit; "+
			"use more loops or processes", own, limit)
	case total > busyMachine*cpus && own > total/2:
		return fmt.Sprintf("the machine was full, and the generator took %.0f %% of it: rate and latency describe "+
			"the generator more than the servers; CPU per message is right", 100*own/total)
	}
	return ""
}

// judgeMachine decides whether others took too much of the machine.
func (r *Report) judgeMachine() {
	f := r.Foreign
	if f == nil {
		return
	}
	most := foreignPart * float64(f.CPUs)
	r.Verdict.invalid(!f.Servers && f.Cores > most, "other programs kept %.2f of %d processors busy: "+
		"stop them, or name those that are servers of this run (--pid)", f.Cores, f.CPUs)
	r.Verdict.invalid(f.Steal > most, "%.2f of %d processors were taken away by the hypervisor", f.Steal, f.CPUs)
}

// late reports whether an open loop was behind its schedule.
func (r *Report) late() bool { return r.Offered > 0 && r.Lateness.P50 > lateAtMedian }

// hindered is how much of what was due the servers prevented.
func (r *Report) hindered() uint64 {
	n := r.Unsent
	if r.Options.Mode != Connect {
		return n
	}
	for _, e := range r.Errors {
		if slices.Contains([]string{"dial", "ports", "tls", "handshake", "login", "closed", TurnedAway}, e.Kind) {
			n += e.Count
		}
	}
	return n + r.Audit.Unanswered
}

// judgeSchedule decides whether an open loop kept its schedule.
func (r *Report) judgeSchedule() {
	due, sent := r.Offered*r.Seconds, r.Sent*r.Seconds+float64(r.hindered())
	why := "the generator cannot keep this rate"
	switch {
	case r.late():
		if r.Options.Mode == Connect {
			why += ", or needs more connections at a time"
		}
		r.Verdict.invalid(true, "half of what was due was sent more than %d µs late: %s", r.Lateness.P50, why)
	case sent+1 < leastSent*due: // one may be due a moment later
		if r.Options.Mode == Chat { // it passes over users who are not free
			why = "no user was free, all waited for answers; use more connections or a lower rate"
		}
		r.Verdict.invalid(true, "%.0f %s a second were due, and %.0f were sent: %s",
			r.Offered, r.Options.Mode.offered(), r.Sent, why)
	}
}
