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

const (
	// maxInvocations bounds the calls of OnInvoke that a loop has running, and maxInvocationBytes
	// their payloads. Further calls are refused.
	maxInvocations     = 1024
	maxInvocationBytes = 16 << 20
	// maxInvocationTime is how long OnInvoke may take. Then its context ends.
	maxInvocationTime = 5 * time.Second
	maxInvokeError    = 500 // bytes of an error's text that the worker gets
)

// invocations are the running calls of OnInvoke of a loop. Owned by the loop.
type invocations struct {
	running int
	bytes   int // of their payloads
}

// start calls OnInvoke on a goroutine of its own. The reply goes to the link by which the frame
// came, if it is still there.
func (i *invocations) start(k *workerLink, f *link.Frame) {
	l := k.loop
	size := len(f.Payload)
	if why := i.refusal(l.g, size); why != "" {
		l.stats.InvocationsRejected++
		k.send(&link.Frame{Type: link.Reply, Code: uint16(link.Refused), ID: f.ID, Payload: []byte(why)})
		return
	}
	i.running++
	i.bytes += size
	l.stats.Invocations++
	serial, reply, payload := k.serial, link.Frame{Type: link.Reply, ID: f.ID}, slices.Clone(f.Payload)
	l.g.pagesWG.Go(func() {
		answer, err := callOnInvoke(l.g, payload)
		l.post(func() {
			i.running--
			i.bytes -= size
			noteInvoked(l, &reply, answer, err)
			l.reply(serial, &reply)
		})
	})
}

// refusal returns why a call with a payload of the size is refused, or "".
func (i *invocations) refusal(g *Gateway, size int) string {
	switch {
	case g.cfg.OnInvoke == nil:
		return "the gateway has no OnInvoke"
	case size > link.MaxInvoke:
		return fmt.Sprintf("%d bytes: must be at most %d", size, link.MaxInvoke)
	case i.running == maxInvocations || i.bytes+size > maxInvocationBytes:
		return "too many calls of OnInvoke are running"
	}
	return ""
}

// callOnInvoke calls OnInvoke. A panic becomes an error.
func callOnInvoke(g *Gateway, payload []byte) (answer []byte, err error) {
	ctx, cancel := context.WithTimeout(g.pageCtx, maxInvocationTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	answer, err = g.cfg.OnInvoke(ctx, payload)
	if err == nil && len(answer) > link.MaxInvoke {
		return nil, fmt.Errorf("answer of %d bytes: must be at most %d", len(answer), link.MaxInvoke)
	}
	return answer, err
}

// noteInvoked completes the reply of a call of OnInvoke that has returned.
func noteInvoked(l *loop, reply *link.Frame, answer []byte, err error) {
	switch {
	case err == nil:
		reply.Payload = answer
	case errors.Is(err, context.DeadlineExceeded):
		l.stats.InvocationTimeouts++
		reply.Code = uint16(link.Timeout)
	default:
		l.stats.InvocationErrors++
		if l.g.strangerLogs.Allow() {
			l.g.log.Error("OnInvoke failed", "err", err)
		}
		text := err.Error()
		reply.Code, reply.Payload = uint16(link.Failed), []byte(text[:min(len(text), maxInvokeError)])
	}
}
