package worker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// gatewayWith starts a gateway whose OnInvoke answers with its name and the payload.
func gatewayWith(t *testing.T, name string) *gateway.Gateway {
	t.Helper()
	return serve(t, answersWith(name))
}

func answersWith(name string) gateway.Config {
	return gateway.Config{
		Logger: slog.New(slog.DiscardHandler), Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}, Loops: 2,
		OnInvoke: func(_ context.Context, payload []byte) ([]byte, error) {
			return append([]byte(name+" "), payload...), nil
		},
	}
}

// While the first gateway has no link, the next one that shares its state stands in for it, and no
// other one.
func TestInvokeCallsAStandIn(t *testing.T) {
	t.Parallel()
	shared := func(name string) gateway.Config {
		cfg := answersWith(name)
		cfg.SharedInvoke = true
		return cfg
	}
	first, stopFirst := serveUntil(t, shared("first"))
	other := gatewayWith(t, "other")
	third, stopThird := serveUntil(t, shared("third"))
	w := run(t, worker.Config{Gateways: []string{first.WorkerAddr(), other.WorkerAddr(), third.WorkerAddr()}},
		worker.Handler{})
	<-w.Ready()
	for i, want := range []string{"first ", "third ", ""} {
		if i > 0 {
			[]func(){nil, stopFirst, stopThird}[i]()
		}
		var answer []byte
		var err error
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			answer, err = w.Invoke(t.Context(), nil)
			if string(answer) == want && (want != "" || errors.Is(err, worker.ErrLinkDown)) {
				break
			}
		}
		if string(answer) != want || want == "" && !errors.Is(err, worker.ErrLinkDown) {
			t.Errorf("call %d: %q, %v, want %q", i, answer, err, want)
		}
	}
}

// Of several gateways Invoke calls the first in the list that has a function, also for clients of
// the others.
func TestInvokeCallsTheFirst(t *testing.T) {
	t.Parallel()
	without, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	first, second := gatewayWith(t, "first"), gatewayWith(t, "second")
	h := worker.Handler{Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
		answer, err := c.Worker().Invoke(ctx, m.Data)
		if err != nil {
			return err
		}
		c.Send(worker.TextBytes(answer))
		return nil
	}}
	w := run(t, worker.Config{Gateways: []string{without.WorkerAddr(), first.WorkerAddr(), second.WorkerAddr()}}, h)
	<-w.Ready()
	for _, g := range []*gateway.Gateway{without, first, second} {
		l := dial(t, g)
		for _, text := range []string{"one", "two"} {
			l.say(text)
			l.receives("first " + text)
		}
	}
	if answer, err := w.Invoke(t.Context(), []byte("three")); string(answer) != "first three" || err != nil {
		t.Errorf("outside of a handler: %q, %v", answer, err)
	}
	if _, err := w.Invoke(t.Context(), make([]byte, 1<<20+1)); !errors.Is(err, worker.ErrTooBig) {
		t.Errorf("a large payload: %v", err)
	}
}

// While a gateway that is named earlier has not answered yet, Invoke calls no other one.
func TestInvokeWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	second := gatewayWith(t, "second")
	const nobody = "127.0.0.1:1"
	w := run(t, worker.Config{Gateways: []string{nobody, second.WorkerAddr()}}, worker.Handler{})
	<-w.Ready()
	_, err := w.Invoke(t.Context(), nil)
	if !errors.Is(err, worker.ErrLinkDown) || !strings.Contains(err.Error(), nobody) {
		t.Errorf("%v", err)
	}
	without, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	w = run(t, worker.Config{Gateways: []string{without.WorkerAddr()}}, worker.Handler{})
	<-w.Ready()
	if _, err := w.Invoke(t.Context(), nil); !errors.Is(err, worker.ErrNoInvoke) {
		t.Errorf("no gateway has a function: %v", err)
	}
}

// A test of business code answers Invoke itself.
func TestInvokeInMemory(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.Handler{Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
		answer, err := c.Worker().Invoke(ctx, m.Data)
		if err != nil {
			answer = []byte(err.Error())
		}
		c.Send(worker.TextBytes(answer))
		return nil
	}})
	c := g.Dial(workertest.Request{})
	c.Send("hello")
	c.Expect("worker: refused by the gateway: the test has no OnInvoke")
	g.OnInvoke(func(_ context.Context, payload []byte) ([]byte, error) {
		if len(payload) == 0 {
			return nil, errors.New("nothing to do")
		}
		return bytes.ToUpper(payload), nil
	})
	c.Send("hello")
	c.Expect("HELLO")
	c.Send("")
	c.Expect("worker: the gateway's OnInvoke has failed: nothing to do")
}
