package bench

import (
	"fmt"
	"slices"
	"strings"
)

// The limits of a verdict.
const (
	busyLoops     = 0.90 // of the generator's loops: beyond, it is the limit
	busyMachine   = 0.95 // of the processors, by the generator and the servers together
	lateAtMedian  = 1000 // µs from the intended to the real send in an open loop
	achievedAtAll = 0.95 // of the offered rate

	// foreignPart of the processors, taken by other programs or by the hypervisor, is too much. What a system does by the way is less; and whoever is kept waiting for a tenth
	// of the time has a p90 that is not its own.
	foreignPart = 0.10

	cutLeast = 0.2 // s: in a shorter interval a generator may have its loops full for once
)

// judge says whether the run went well and whether the generator was its limit.
func (r *Report) judge() {
	r.Verdict = Verdict{Valid: true}
	r.judgeAudit()
	r.judgeGenerator()
	r.judgeMachine()
	r.judgeSchedule()
	r.judgeFailures()
}

func (v *Verdict) invalid(format string, args ...any) {
	v.Valid = false
	v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
}

func (v *Verdict) failed(format string, args ...any) {
	v.Failed = true
	v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
}

// judgeAudit looks for what failed.
func (r *Report) judgeAudit() {
	v, a := &r.Verdict, r.Audit
	if !a.Clean() {
		var faults []string
		for _, f := range a.Faults() {
			faults = append(faults, fmt.Sprintf("%d %s", f.Count, f.Name))
		}
		v.failed("the audit: %s of %d", strings.Join(faults, ", "), a.Expected)
	}
	if a.Unanswered > 0 {
		v.failed("%d connections never got their answer, and made no load from then on", a.Unanswered)
	}
	if !a.Balanced() {
		v.failed("the audit does not add up: %d received are not %d expected - %d lost + %d duplicated + %d unexpected", a.Received, a.Expected, a.Lost, a.Duplicated, a.Unexpected)
	}
	if m := r.Options.Mode; (m == Echo || m == Connect || m == Churn || m == Push) && a.Sent != a.Expected {
		v.failed("the audit does not add up: %d sent, and %d answers expected", a.Sent, a.Expected)
	}
	for _, e := range r.Errors {
		v.failed("%d × %s: %s", e.Count, e.Kind, e.Example)
	}
	if r.Unsent > 0 {
		v.failed("%d messages were due and not sent: their connection was closed", r.Unsent)
	}
	v.Reasons = append(v.Reasons, r.remarks()...)
	if r.Interrupted {
		v.Reasons = append(v.Reasons, fmt.Sprintf("the run was ended after %.1f of %.1f s", r.Seconds, r.Options.Window.Seconds()))
	} else if r.Messages == 0 {
		v.failed("nothing arrived in the window")
	}
}

// judgeGenerator tells whether the generator was the limit.
func (r *Report) judgeGenerator() {
	total := r.Own.Cores + r.Total(func(p ProcessUsage) float64 { return p.Cores })
	if why := r.limit(r.Own.Cores, total); why != "" {
		r.Verdict.invalid("%s", why)
	}
}

// judgeFailures tells whether the generator may be why connections failed. It is when no local port was left. When it was the limit as the first connection was closed, the
// server may have closed it for what was not read or sent in time; the figures of the whole window do not show that, for there is less load afterwards.
func (r *Report) judgeFailures() {
	var own []string // kinds of failure
	if r.has("ports") {
		r.Verdict.invalid("the generator had no local port left for a connection")
		own = append(own, "ports")
	}
	if r.has("closed") {
		why := r.limitAtFailure()
		if why == "" && r.late() {
			why = "the generator was behind its schedule"
		}
		if why != "" {
			r.Verdict.invalid("when the first connection was closed, %s; the server may have closed it for that reason", why)
			own = append(own, "closed")
		}
	}
	a := r.Audit
	others := slices.ContainsFunc(r.Errors, func(e ErrorCount) bool { return !slices.Contains(own, e.Kind) })
	r.Verdict.OwnFault = own != nil && a.Duplicated|a.Reordered|a.Changed|a.Unexpected == 0 && a.Balanced() && !others
}

// has tells whether there were failures of a kind.
func (r *Report) has(kind string) bool {
	return slices.ContainsFunc(r.Errors, func(e ErrorCount) bool { return e.Kind == kind })
}

// limitAtFailure says why the generator was the limit in the interval of the first failure, or in the one before; nothing if it was not.
func (r *Report) limitAtFailure() string {
	first := slices.IndexFunc(r.Timeline, func(m Moment) bool { return m.Errors > 0 })
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

// limit says why a generator that keeps so many cores busy is the limit, where it and the servers together keep a total busy; nothing if it is not.
func (r *Report) limit(own, total float64) string {
	switch limit, cpus := r.Own.CoresLimit, float64(r.Machine.CPUs); {
	case limit > 0 && own > busyLoops*limit && r.Options.overTLS():
		return fmt.Sprintf("the generator kept %.2f of %.0f processors busy, with TLS: it was the limit; give it a machine of its own, or a larger one", own, limit)
	case limit > 0 && own > busyLoops*limit:
		return fmt.Sprintf("the generator kept %.2f cores busy with %.0f loops: it was the limit; give it more loops or processes", own, limit)
	case total > busyMachine*cpus && own > total/2:
		return fmt.Sprintf("the machine was full and the generator took %.0f %% of it: rate and latency are more its own than the servers'; CPU per message stands", 100*own/total)
	}
	return ""
}

// judgeMachine tells whether others took the machine's time.
func (r *Report) judgeMachine() {
	f := r.Foreign
	if f == nil {
		return
	}
	most := foreignPart * float64(f.CPUs)
	if !f.Servers && f.Cores > most {
		r.Verdict.invalid("other programs kept %.2f of %d processors busy: end them, or name those that are servers of this run with their process", f.Cores, f.CPUs)
	}
	if f.Steal > most {
		r.Verdict.invalid("%.2f of %d processors were taken away by the hypervisor", f.Steal, f.CPUs)
	}
}

// late tells whether an open loop was behind its schedule.
func (r *Report) late() bool { return r.Offered > 0 && r.Lateness.P50 > lateAtMedian }

// hindered is how much of what was due the servers kept from being sent: that is not for the generator to make good.
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

// judgeSchedule tells whether an open loop was kept to.
func (r *Report) judgeSchedule() {
	due, sent := r.Offered*r.Seconds, r.Sent*r.Seconds+float64(r.hindered())
	why := "the generator cannot keep this rate"
	switch {
	case r.late():
		if r.Options.Mode == Connect {
			why += ", or needs more connections at a time"
		}
		r.Verdict.invalid("half of what was due was sent more than %d µs late: %s", r.Lateness.P50, why)
	case sent+1 < achievedAtAll*due: // one may be due a moment later
		if r.Options.Mode == Chat { // who is not free is passed over
			why = "nobody was free, for all waited for answers; take more connections or a lower rate"
		}
		r.Verdict.invalid("%.0f %s a second were due, and %.0f were sent: %s", r.Offered, r.Options.Mode.offered(), r.Sent, why)
	}
}
