package gateway

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

const (
	// maxReports bounds the calls of OnStats that a loop has running, and maxReportBytes their
	// reports. Further reports are refused.
	maxReports     = 64
	maxReportBytes = 16 << 20
	// maxReportTime is how long OnStats may take. Then its context ends.
	maxReportTime = 5 * time.Second
)

// reports are the running calls of OnStats of a loop. Owned by the loop.
type reports struct {
	running int
	bytes   int // of their reports
}

// start calls OnStats on a goroutine of its own. The reply goes to the link by which the frame
// came, if it is still there.
func (r *reports) start(k *workerLink, f *link.Frame) {
	l := k.loop
	size := len(f.Payload)
	if why := r.refusal(l.g, size); why != "" {
		l.stats.ReportsRejected++
		k.send(&link.Frame{Type: link.Reply, Code: uint16(link.Refused), ID: f.ID, Payload: []byte(why)})
		return
	}
	r.running++
	r.bytes += size
	serial, reply, report := k.serial, link.Frame{Type: link.Reply, ID: f.ID}, slices.Clone(f.Payload)
	l.g.pagesWG.Go(func() {
		err := callOnStats(l.g, report)
		l.post(func() {
			r.running--
			r.bytes -= size
			noteReported(l, &reply, err)
			l.reply(serial, &reply)
		})
	})
}

// refusal returns why a report of the size is refused, or "".
func (r *reports) refusal(g *Gateway, size int) string {
	switch {
	case g.cfg.OnStats == nil:
		return "the gateway has no OnStats"
	case size > link.MaxReport:
		return fmt.Sprintf("%d bytes: must be at most %d", size, link.MaxReport)
	case r.running == maxReports || r.bytes+size > maxReportBytes:
		return "too many calls of OnStats are running"
	}
	return ""
}

// callOnStats calls OnStats. A panic becomes an error.
func callOnStats(g *Gateway, report []byte) (err error) {
	ctx, cancel := context.WithTimeout(g.pageCtx, maxReportTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return g.cfg.OnStats(ctx, report)
}

// noteReported completes the reply of a call of OnStats that has returned.
func noteReported(l *loop, reply *link.Frame, err error) {
	if err == nil {
		l.stats.Reports++
		return
	}
	l.stats.ReportErrors++
	if l.g.strangerLogs.Allow() {
		l.g.log.Error("OnStats failed", "err", err)
	}
	text := err.Error()
	reply.Code, reply.Payload = uint16(link.Failed), []byte(text[:min(len(text), maxInvokeError)])
}
