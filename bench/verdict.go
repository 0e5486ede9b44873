package bench

import "fmt"

// The limits of a verdict.
const (
	busyLoops     = 0.90 // of the generator's loops: beyond, it is the limit
	busyMachine   = 0.95 // of the processors, by the generator and the servers together
	lateAtMedian  = 1000 // µs from the intended to the real send in an open loop
	achievedAtAll = 0.95 // of the offered rate
)

// judge says whether the run went well and whether the generator was its limit.
func (r *Report) judge() {
	v := &r.Verdict
	*v = Verdict{Valid: true}
	invalid := func(format string, args ...any) {
		v.Valid = false
		v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
	}
	failed := func(format string, args ...any) {
		v.Failed = true
		v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
	}
	if a := r.Audit; !a.Clean() {
		failed("the audit: %d lost, %d duplicated, %d reordered, %d changed, %d unexpected of %d", a.Lost, a.Duplicated, a.Reordered, a.Changed, a.Unexpected, a.Expected)
	}
	for _, e := range r.Errors {
		failed("%d × %s: %s", e.Count, e.Kind, e.Example)
	}
	if r.Interrupted {
		v.Reasons = append(v.Reasons, fmt.Sprintf("the run was ended after %.1f of %.1f s", r.Seconds, r.Options.Window.Seconds()))
	}
	v.Reasons = append(v.Reasons, r.remarks()...)
	if r.Messages == 0 {
		failed("nothing arrived in the window")
	}
	if limit := r.Own.CoresLimit; r.Options.overTLS() && r.Own.Cores > busyLoops*limit {
		invalid("the generator kept %.2f of %.0f processors busy, with TLS: it was the limit; give it a machine of its own, or a larger one", r.Own.Cores, limit)
	} else if limit > 0 && r.Own.Cores > busyLoops*limit {
		invalid("the generator kept %.2f cores busy with %.0f loops: it was the limit; give it more loops or processes", r.Own.Cores, limit)
	}
	total := r.Own.Cores
	for _, s := range r.Servers {
		total += s.Cores
	}
	if cpus := float64(r.Machine.CPUs); total > busyMachine*cpus && r.Own.Cores > total/2 {
		invalid("the machine was full and the generator took %.0f %% of it: rate and latency are more its own than the servers'; CPU per message stands", 100*r.Own.Cores/total)
	}
	if r.Offered > 0 {
		if r.Lateness.P50 > lateAtMedian {
			why := "the generator cannot keep this rate"
			if r.Options.Mode == Connect {
				why += ", or needs more connections at a time"
			}
			invalid("half of what was due was sent more than %d µs late: %s", r.Lateness.P50, why)
		} else if r.Sent < achievedAtAll*r.Offered {
			why := "the generator cannot keep this rate"
			if r.Options.Mode == Chat { // who is not free is passed over
				why = "nobody was free, for all waited for answers; take more connections or a lower rate"
			}
			invalid("%.0f %s a second were due, and %.0f were sent: %s", r.Offered, r.Options.Mode.offered(), r.Sent, why)
		}
	}
}
