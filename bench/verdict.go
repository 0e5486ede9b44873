package bench

import (
	"fmt"
	"slices"
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
	v := &r.Verdict
	*v = Verdict{Valid: true}
	r.judgeAudit()
	r.judgeGenerator()
	r.judgeMachine()
	if r.Offered > 0 {
		r.judgeSchedule()
	}
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
		v.failed("the audit: %d lost, %d duplicated, %d reordered, %d changed, %d unexpected, %d unanswered of %d", a.Lost, a.Duplicated, a.Reordered, a.Changed, a.Unexpected, a.Unanswered, a.Expected)
	}
	if !a.Balanced() {
		v.failed("the audit does not add up: %d received are not %d expected - %d lost + %d duplicated + %d unexpected", a.Received, a.Expected, a.Lost, a.Duplicated, a.Unexpected)
	}
	for _, e := range r.Errors {
		v.failed("%d × %s: %s", e.Count, e.Kind, e.Example)
	}
	if r.Unsent > 0 {
		v.failed("%d messages were due and not sent: their connection was closed", r.Unsent)
	}
	if r.Interrupted {
		v.Reasons = append(v.Reasons, fmt.Sprintf("the run was ended after %.1f of %.1f s", r.Seconds, r.Options.Window.Seconds()))
	} else if r.Messages == 0 {
		v.failed("nothing arrived in the window")
	}
}

// judgeGenerator tells whether the generator was the limit: in the window as a whole, or when the server closed the first connection, after which there is less load.
func (r *Report) judgeGenerator() {
	v := &r.Verdict
	total := r.Own.Cores
	for _, s := range r.Servers {
		total += s.Cores
	}
	if why := r.limit(r.Own.Cores, total); why != "" {
		v.invalid("%s", why)
	}
	isClosed := func(e ErrorCount) bool { return e.Kind == "closed" }
	cut := slices.IndexFunc(r.Timeline, func(m Moment) bool { return m.Errors > 0 })
	if cut < 0 || !slices.ContainsFunc(r.Errors, isClosed) {
		return
	}
	for _, m := range r.Timeline[max(cut-1, 0) : cut+1] { // it may have been cut at once, for what was before
		total := 0.0
		for _, cores := range m.CPU {
			total += cores
		}
		if why := r.limit(m.CPU[generatorName], total); why != "" && m.Seconds >= cutLeast {
			v.invalid("when the first connection was closed, %s; the server may have closed it for that reason", why)
			a := r.Audit
			others := slices.ContainsFunc(r.Errors, func(e ErrorCount) bool { return !isClosed(e) })
			v.OwnFault = a.Duplicated|a.Reordered|a.Changed|a.Unexpected == 0 && a.Balanced() && !others
			return
		}
	}
}

// limit says why a generator that keeps so many cores busy is the limit, where it and the servers together keep a total busy; nothing if it is not.
func (r *Report) limit(own, total float64) string {
	switch limit, cpus := r.Own.CoresLimit, float64(r.Machine.CPUs); {
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

// judgeSchedule tells whether an open loop was kept to.
func (r *Report) judgeSchedule() {
	v := &r.Verdict
	why := "the generator cannot keep this rate"
	if r.Lateness.P50 > lateAtMedian {
		if r.Options.Mode == Connect {
			why += ", or needs more connections at a time"
		}
		v.invalid("half of what was due was sent more than %d µs late: %s", r.Lateness.P50, why)
		return
	}
	if done := r.Sent*r.Seconds + float64(r.Unsent); done+1 >= achievedAtAll*r.Offered*r.Seconds { // what is unsent was not for the generator to send; one may be due a moment later
		return
	}
	if r.Options.Mode == Chat { // who is not free is passed over
		why = "nobody was free, for all waited for answers; take more connections or a lower rate"
	}
	v.invalid("%.0f %s a second were due, and %.0f were sent: %s", r.Offered, r.Options.Mode.offered(), r.Sent, why)
}
