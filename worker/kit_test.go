package worker_test

import (
	"context"

	"sluice/worker"
)

// onMessage is business that hears messages and nothing else, and does not fail.
func onMessage(f func(worker.Call, worker.Message)) worker.Handler {
	return worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		f(c, m)
		return nil
	}}
}

// onEvents is business that hears of its clients' connections, messages and ends.
type onEvents interface {
	OnConnect(worker.Call)
	OnMessage(worker.Call, worker.Message)
	OnClose(worker.Call, worker.Reason)
}

// handlerOf makes a handler of it.
func handlerOf(b onEvents) worker.Handler {
	h := onMessage(b.OnMessage)
	h.Connect = func(_ context.Context, c worker.Call) error {
		b.OnConnect(c)
		return nil
	}
	h.Close = func(_ context.Context, c worker.Call, r worker.Reason) error {
		b.OnClose(c, r)
		return nil
	}
	return h
}
