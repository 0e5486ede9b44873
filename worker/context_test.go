package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

type traceKey struct{}

// A client's context is done when its calls can no longer be committed. When the link is lost its
// cause says so. It has the values of Run's context.
func TestAContextEndsWithTheLink(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	var k cutter
	begun, over := make(chan struct{}, 9), make(chan error, 9)
	first := make(chan context.Context, 9)
	h := worker.Handler{Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
		switch string(m.Data) {
		case "wait":
			if m.Redelivered {
				break
			}
			begun <- struct{}{}
			inner, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			<-inner.Done()
			over <- errors.Join(inner.Err(), context.Cause(inner))
			over <- c.Worker().Publish(ctx, worker.Client(c.ID()), worker.Text("must not be received"))
			_, err := c.Worker().Count(ctx, worker.Everyone())
			over <- err
		default:
			if ctx.Err() != nil || ctx.Value(traceKey{}) != "trace" {
				t.Errorf("%v, %v", ctx.Err(), ctx.Value(traceKey{}))
			}
			first <- ctx
		}
		c.Send(m)
		return nil
	}}
	w, err := worker.New(worker.Config{
		Gateways: []string{g.WorkerAddr()}, Dial: k.dial, Logger: slog.New(slog.DiscardHandler),
	}, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), traceKey{}, "trace"))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c := dial(t, g)
	c.say("one")
	c.say("two")
	c.receives("one")
	c.receives("two")
	if a, b := <-first, <-first; a != b {
		t.Error("two calls of a client have two contexts")
	}
	c.say("wait")
	<-begun
	k.cut()
	for range 3 {
		if err := <-over; !errors.Is(err, context.Canceled) && !errors.Is(err, worker.ErrLinkDown) {
			t.Errorf("%v", err)
		}
	}
	c.receives("wait")
}

// A drain that takes too long ends the contexts. If the handlers return then, Run returns nil.
func TestAContextEndsWithTheDrain(t *testing.T) {
	t.Parallel()
	begun, cause := make(chan struct{}, 1), make(chan error, 2)
	stopped := false
	h := worker.Handler{
		Start: func(ctx context.Context, _ *worker.Worker) error {
			go func() {
				<-ctx.Done()
				cause <- context.Cause(ctx)
			}()
			return nil
		},
		Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
			begun <- struct{}{}
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return ctx.Err()
		},
		Stop: func(ctx context.Context, _ *worker.Worker) { stopped = ctx.Err() == nil },
	}
	g := workertest.NewWithConfig(t, h,
		worker.Config{DrainTimeout: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	g.Dial(workertest.Request{}).Send("x")
	<-begun
	g.RestartWorker(func() worker.Handler { return worker.Handler{} }) // fails the test when Run returns an error
	if run, call := <-cause, <-cause; !errors.Is(run, context.Canceled) || !errors.Is(call, worker.ErrDrainTimeout) {
		t.Errorf("Run's context ended with %v, the call's with %v", run, call)
	}
	if !stopped {
		t.Error("the context of Stop is done")
	}
}

// A context bounds the wait for a gateway that does not read.
func TestAContextBoundsASend(t *testing.T) {
	t.Parallel()
	conns, w := rawPeer(t, 0, worker.Handler{})
	<-conns
	<-w.Ready()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var err error
	for err == nil {
		err = w.Publish(ctx, worker.Everyone(), worker.Bytes(make([]byte, 1<<20)))
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := w.Publish(ctx, worker.Everyone(), worker.Text("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that is done: %v", err)
	}
}

// The first middleware is the outermost.
func TestChain(t *testing.T) {
	t.Parallel()
	var order []string
	mark := func(name string) worker.Middleware {
		return func(h worker.Handler) worker.Handler {
			next := h.Message
			h.Message = func(ctx context.Context, c worker.Call, m worker.Message) error {
				order = append(order, name)
				err := next(ctx, c, m)
				order = append(order, "/"+name)
				return err
			}
			return h
		}
	}
	closed := make(chan struct{})
	h := onMessage(func(c worker.Call, m worker.Message) { c.Send(m) })
	h.Close = func(context.Context, worker.Call, worker.Reason) error { close(closed); return nil }
	g := workertest.New(t, worker.Chain(h, mark("a"), mark("b")))
	c := g.Dial(workertest.Request{})
	c.Send("x")
	c.Expect("x")
	c.Drop()
	<-closed // what middleware does not wrap it keeps
	if got := len(order); got != 4 || order[0] != "a" || order[1] != "b" || order[2] != "/b" || order[3] != "/a" {
		t.Errorf("%v", order)
	}
}
