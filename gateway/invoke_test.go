package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// invoke sends an INVOKE on a link and returns the reply.
func (w *fakeWorker) invoke(loop int, id uint32, payload []byte) link.Frame {
	w.t.Helper()
	w.links[loop].write(&link.Frame{Type: link.Invoke, ID: id, Payload: payload})
	return w.replyTo(id)
}

func (w *fakeWorker) replyTo(id uint32) link.Frame {
	w.t.Helper()
	_, f := w.take("a reply", func(_ int, f *link.Frame) bool { return f.Type == link.Reply && f.ID == id })
	return f
}

// Each answer, error and panic of OnInvoke reaches the worker that has asked, whichever link it
// used, and is counted.
func TestInvoke(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}, Loops: 2,
		OnInvoke: func(ctx context.Context, payload []byte) ([]byte, error) {
			switch string(payload) {
			case "fail":
				return nil, errors.New("out of order")
			case "panic":
				panic("a bug")
			case "late":
				return nil, context.DeadlineExceeded
			case "large":
				return make([]byte, link.MaxInvoke+1), nil
			}
			if _, limited := ctx.Deadline(); !limited {
				return nil, errors.New("no deadline")
			}
			return bytes.ToUpper(payload), nil
		},
	})
	w := dialWorker(t, g.WorkerAddr(), nil, link.WorkerHello{Role: link.RoleWorker, Weight: 1, Window: 1 << 20})
	if !w.links[0].hello.Invokes {
		t.Error("the hello does not say that the gateway answers")
	}
	most := bytes.Repeat([]byte("x"), link.MaxInvoke)
	for i, c := range []struct {
		payload, answer string
		status          link.Status
	}{
		{"hello", "HELLO", link.OK},
		{"", "", link.OK},
		{string(most), string(bytes.ToUpper(most)), link.OK},
		{string(most) + "x", "1048577 bytes: must be at most 1048576", link.Refused},
		{"fail", "out of order", link.Failed},
		{"large", "answer of 1048577 bytes: must be at most 1048576", link.Failed},
		{"late", "", link.Timeout},
	} {
		f := w.invoke(i%2, uint32(i+1), []byte(c.payload))
		if link.Status(f.Code) != c.status || string(f.Payload) != c.answer {
			t.Errorf("%.10q: %v %.60q", c.payload, link.Status(f.Code), f.Payload)
		}
	}
	if f := w.invoke(0, 99, []byte("panic")); link.Status(f.Code) != link.Failed ||
		!bytes.HasPrefix(f.Payload, []byte("panic: a bug")) || len(f.Payload) > 500 {
		t.Errorf("a panic: %v %q", link.Status(f.Code), f.Payload)
	}
	s := g.Stats()
	if s.Invocations != 7 || s.InvocationsRejected != 1 || s.InvocationErrors != 3 || s.InvocationTimeouts != 1 {
		t.Errorf("counted %d, rejected %d, errors %d, timeouts %d",
			s.Invocations, s.InvocationsRejected, s.InvocationErrors, s.InvocationTimeouts)
	}
}

// A gateway without OnInvoke refuses.
func TestInvokeWithoutOnInvoke(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	w := dialWorker(t, g.WorkerAddr(), nil, link.WorkerHello{Role: link.RoleWorker, Weight: 1, Window: 1 << 20})
	if f := w.invoke(0, 1, []byte("x")); link.Status(f.Code) != link.Refused || w.links[0].hello.Invokes {
		t.Errorf("%v %q, hello %v", link.Status(f.Code), f.Payload, w.links[0].hello.Invokes)
	}
}

// The calls that run at a time are bounded, and so are their payloads. When calls have returned,
// there is room for others. A drain ends the context of those that remain.
func TestInvocationsAreBounded(t *testing.T) {
	t.Parallel()
	const calls, bytesOfAll, large = 1024, 16 << 20, 1 << 20
	var running atomic.Int32
	release := make(chan struct{})
	g, stop := start(t, gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		OnInvoke: func(ctx context.Context, _ []byte) ([]byte, error) {
			running.Add(1)
			defer running.Add(-1)
			select {
			case <-release:
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	})
	w := dialWorker(t, g.WorkerAddr(), nil, link.WorkerHello{Role: link.RoleWorker, Weight: 1, Window: 1 << 20})
	began := time.Now()
	for i := range calls {
		w.links[0].write(&link.Frame{Type: link.Invoke, ID: uint32(i + 1)})
	}
	last := w.invoke(0, calls+1, nil)
	if time.Since(began) > 4*time.Second {
		t.Skip("NOT TESTED: the machine is so slow that calls have timed out")
	}
	if link.Status(last.Code) != link.Refused || running.Load() > calls {
		t.Errorf("call %d: %v, %d are running", calls+1, link.Status(last.Code), running.Load())
	}
	for range calls {
		release <- struct{}{}
	}
	for i := range calls {
		w.replyTo(uint32(i + 1))
	}
	for i := range bytesOfAll / large {
		w.links[0].write(&link.Frame{Type: link.Invoke, ID: uint32(i + 1), Payload: make([]byte, large)})
	}
	if f := w.invoke(0, 100, []byte("x")); link.Status(f.Code) != link.Refused {
		t.Errorf("payloads of more than 16 MiB: %v", link.Status(f.Code))
	}
	stop()
	if n := running.Load(); n != 0 {
		t.Errorf("%d calls run after Run has returned", n)
	}
}
