package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// programCalls are the running calls of a function of the gateway's program, OnInvoke or OnStats,
// on behalf of one loop. Owned by the loop.
type programCalls struct {
	// Static.
	name    string                                                    // of the function
	call    func(ctx context.Context, payload []byte) ([]byte, error) // nil: the program has none
	most    int                                                       // at a time
	largest int                                                       // bytes of a payload, and of an answer

	running int
	bytes   int // of their payloads
	// What has come of them, in the loop's figures: started, or returned without an error; refused,
	// failed, ended by maxCallTime.
	begun, done, rejected, failed, late *uint64
}

const (
	maxCallBytes = 16 << 20        // payloads of the running calls of a loop
	maxCallTime  = 5 * time.Second // then the context of a call ends
	maxCallError = 500             // bytes of an error's text that the worker gets
)

// newInvocations returns the calls of OnInvoke.
func newInvocations(l *loop) programCalls {
	s := &l.stats
	return programCalls{
		name: "OnInvoke", call: l.g.cfg.OnInvoke, most: 1024, largest: link.MaxInvoke,
		begun: &s.Invocations, done: new(uint64), rejected: &s.InvocationsRejected,
		failed: &s.InvocationErrors, late: &s.InvocationTimeouts,
	}
}

// newReports returns the calls of OnStats. A call that takes too long is one of its errors.
func newReports(l *loop) programCalls {
	s := &l.stats
	c := programCalls{
		name: "OnStats", most: 64, largest: link.MaxReport,
		begun: new(uint64), done: &s.Reports, rejected: &s.ReportsRejected,
		failed: &s.ReportErrors, late: &s.ReportErrors,
	}
	if f := l.g.cfg.OnStats; f != nil {
		c.call = func(ctx context.Context, report []byte) ([]byte, error) { return nil, f(ctx, report) }
	}
	return c
}

// start calls the function on a goroutine of its own. The reply goes to the link by which the frame
// came, if it is still there.
func (c *programCalls) start(k *workerLink, f *link.Frame) {
	l := k.loop
	size := len(f.Payload)
	if why := c.refusal(size); why != "" {
		*c.rejected++
		k.send(&link.Frame{Type: link.Reply, Code: uint16(link.Refused), ID: f.ID, Payload: []byte(why)})
		return
	}
	c.running++
	c.bytes += size
	*c.begun++
	serial, reply, payload := k.serial, link.Frame{Type: link.Reply, ID: f.ID}, slices.Clone(f.Payload)
	l.g.pagesWG.Go(func() {
		answer, err := c.run(l.g.pageCtx, payload)
		l.post(func() {
			c.running--
			c.bytes -= size
			c.note(l.g, &reply, answer, err)
			l.reply(serial, &reply)
		})
	})
}

// refusal returns why a call with a payload of the size is refused, or "".
func (c *programCalls) refusal(size int) string {
	switch {
	case c.call == nil:
		return "the gateway has no " + c.name
	case size > c.largest:
		return fmt.Sprintf("%d bytes: must be at most %d", size, c.largest)
	case c.running == c.most || c.bytes+size > maxCallBytes:
		return fmt.Sprintf("too many calls of %s are running", c.name)
	}
	return ""
}

// run calls the function. A panic becomes an error. Any goroutine may call it.
func (c *programCalls) run(ctx context.Context, payload []byte) (answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxCallTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	answer, err = c.call(ctx, payload)
	if err == nil && len(answer) > c.largest {
		return nil, fmt.Errorf("answer of %d bytes: must be at most %d", len(answer), c.largest)
	}
	return answer, err
}

// note completes the reply of a call that has returned.
func (c *programCalls) note(g *Gateway, reply *link.Frame, answer []byte, err error) {
	switch {
	case err == nil:
		*c.done++
		reply.Payload = answer
	case errors.Is(err, context.DeadlineExceeded):
		*c.late++
		reply.Code = uint16(link.Timeout)
	default:
		*c.failed++
		if g.strangerLogs.Allow() {
			g.log.Error("a function of the program failed", "function", c.name, "err", err)
		}
		text := err.Error()
		reply.Code, reply.Payload = uint16(link.Failed), []byte(text[:min(len(text), maxCallError)])
	}
}
