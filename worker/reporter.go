package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

// reporter sends what the recorder has counted to a gateway that takes it. A report is sent again,
// also to another gateway, until one has said that it is kept, and no later one is sent before. So
// a keeper that remembers the last number of each source counts every call once.
type reporter struct {
	// Static.
	w      *Worker
	source [16]byte
	node   string

	// Owned by run.
	began   time.Time
	from    time.Time        // when the figures that are still in the recorder begin
	seq     uint64           // number of the last report
	waiting []*waitingReport // oldest first; bound: reports that a worker has not delivered
	bytes   int              // of waiting
	warned  time.Time        // when a report was not kept, and that was logged
	last    *gateway         // to which the last report was sent; nil: to none

	delivered, lost atomic.Uint64
	behind          atomic.Int64 // len(waiting)
}

// waitingReport is a report that no gateway has acknowledged.
type waitingReport struct {
	encoded []byte
	refused time.Time // when a gateway has refused it for the first time
}

const (
	// reportEvery is how often there is a report, if there is something to report.
	reportEvery = time.Second
	// Reports that cannot be delivered are made for each minute, as long as there are not more than
	// these. Later calls stay in the recorder, and are in the first report after that.
	maxWaitingReports = 60
	maxWaitingBytes   = 4 << 20
	// giveUpAfter is how long the gateways may refuse a report. Those that cannot be reached refuse
	// nothing.
	giveUpAfter = time.Hour
	// warnEvery is how often a worker logs that gateways do not keep its reports. The log has lost
	// links anyway.
	warnEvery = time.Minute
	// maxAttempts is to how many gateways a report is sent before there is a pause.
	maxAttempts = 3
	// reportTimeout is how long a gateway may take to answer: longer than its OnStats may take.
	reportTimeout = 7 * time.Second
	// lastReportTimeout is how long the last report of a worker that drains may take.
	lastReportTimeout = 2 * time.Second
)

func newReporter(w *Worker) *reporter {
	r := &reporter{w: w, began: time.Now()}
	r.from = r.began
	_, _ = rand.Read(r.source[:]) // never fails
	host, _ := os.Hostname()
	r.node = fmt.Sprintf("%s/%d", host, os.Getpid())
	return r
}

// run reports until ctx ends, and then for the last time.
func (r *reporter) run(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.collect(false)
			r.deliver(ctx)
			continue
		case <-ctx.Done():
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReportTimeout)
		r.collect(true)
		r.deliver(last)
		cancel()
		if n := len(r.waiting); n > 0 {
			r.lost.Add(uint64(n))
			r.w.log.Warn("the last figures about calls were not kept by a gateway", "worker", r.w.cfg.Name, "reports", n)
		}
		return
	}
}

// collect makes a report of what was counted, unless earlier ones wait: then there is one for each
// minute. all means that there will be no later one.
func (r *reporter) collect(all bool) {
	now := time.Now()
	taken, sure := r.taken()
	if !taken && sure {
		r.discard(now)
		return
	}
	sameMinute := now.Truncate(time.Minute).Equal(r.from.Truncate(time.Minute))
	full := len(r.waiting) >= maxWaitingReports || r.bytes >= maxWaitingBytes
	if !all && (full || len(r.waiting) > 0 && sameMinute) {
		return
	}
	report := stats.Report{Source: r.source, Seq: r.seq + 1, Node: r.node, From: r.from, To: now}
	report.Rows, report.Failures, report.LostFailures = r.w.rec.Take()
	r.from = now
	if len(report.Rows) == 0 && len(report.Failures) == 0 && report.LostFailures == 0 {
		return
	}
	for _, b := range stats.Encode(&report) {
		r.seq++
		r.waiting = append(r.waiting, &waitingReport{encoded: b})
		r.bytes += len(b)
	}
	r.behind.Store(int64(len(r.waiting)))
}

// discard forgets all figures, because no gateway takes reports.
func (r *reporter) discard(now time.Time) {
	r.w.rec.Take()
	r.lost.Add(uint64(len(r.waiting)))
	r.from, r.waiting, r.bytes = now, nil, 0
	r.behind.Store(0)
}

// taken reports whether a gateway takes reports, as far as they have answered. sure means that
// those that have not answered need not be waited for.
func (r *reporter) taken() (taken, sure bool) {
	if r.w.cfg.OnStats != nil {
		return true, true
	}
	gateways := r.w.addresses.list()
	sure = len(gateways) > 0
	for _, g := range gateways {
		takes, answered := g.takesReports()
		if takes {
			return true, true
		}
		sure = sure && answered
	}
	return false, sure || time.Since(r.began) > time.Minute
}

// deliver sends the reports that wait, in order, until one is not acknowledged.
func (r *reporter) deliver(ctx context.Context) {
	for len(r.waiting) > 0 {
		first := r.waiting[0]
		err := r.send(ctx, first)
		switch {
		case err == nil:
			r.delivered.Add(1)
		case !first.refused.IsZero() && time.Since(first.refused) > giveUpAfter:
			r.lost.Add(1)
			r.w.log.Error("a report about calls was given up: no gateway could keep it",
				"worker", r.w.cfg.Name, "bytes", len(first.encoded), "err", err)
		default:
			if ctx.Err() == nil && time.Since(r.warned) >= warnEvery && !errors.Is(err, ErrLinkDown) {
				r.warned = time.Now()
				r.w.log.Warn("a report about calls was not kept by a gateway, it is sent again",
					"worker", r.w.cfg.Name, "reports", len(r.waiting), "err", err)
			}
			return
		}
		r.waiting[0] = nil
		r.waiting = r.waiting[1:]
		r.bytes -= len(first.encoded)
		r.behind.Store(int64(len(r.waiting)))
	}
	r.waiting = nil
}

// send sends a report to one gateway after the other until it is kept, to maxAttempts at most:
// first to the one that got the last one.
func (r *reporter) send(ctx context.Context, report *waitingReport) error {
	if take := r.w.cfg.OnStats; take != nil {
		ctx, cancel := context.WithTimeout(ctx, reportTimeout)
		defer cancel()
		return take(ctx, slices.Clone(report.encoded))
	}
	gateways := r.w.addresses.list()
	if i := slices.Index(gateways, r.last); i >= 0 {
		gateways = slices.Concat(gateways[i:], gateways[:i])
	}
	err, attempts := ErrLinkDown, 0
	for _, g := range gateways {
		id, _, _ := g.lastHello()
		l := r.w.routes.any(id)
		if takes, _ := g.takesReports(); !takes || l == nil {
			continue
		}
		r.last = g
		if err = r.ask(ctx, l, report); err == nil {
			return nil
		}
		if attempts++; attempts == maxAttempts {
			break
		}
	}
	return err
}

// ask sends a report on a link and waits for the answer.
func (r *reporter) ask(ctx context.Context, l *gwLink, report *waitingReport) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	status, q, err := r.w.question(ctx, l, link.Frame{Type: link.Report}, report.encoded)
	if err != nil || status == link.OK {
		return err
	}
	if report.refused.IsZero() {
		report.refused = time.Now()
	}
	return fmt.Errorf("%w: %v: %s", ErrRefused, status, q.answer)
}
