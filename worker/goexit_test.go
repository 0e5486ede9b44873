package worker_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// A call that ends its goroutine (as t.FailNow does) fails like one that panics. Wherever it ran,
// its client and all others continue.
func TestGoexit(t *testing.T) {
	t.Parallel()
	release := make(chan struct{}, 1)
	defer close(release) // also when the test fails
	h := onMessage(func(c worker.Call, m worker.Message) {
		switch string(m.Data) {
		case "exit":
			c.Send(worker.Text("must not be received"))
			runtime.Goexit()
		case "block and exit":
			<-release
			runtime.Goexit()
		case "block":
			<-release
		case "ask and exit":
			_, _ = c.Worker().Count(t.Context(), worker.Everyone())
			runtime.Goexit()
		case "timer that exits":
			c.After(0, func(context.Context, worker.Call) error { runtime.Goexit(); return nil })
		}
		c.Send(m)
	})
	g := workertest.New(t, h)
	a, b := g.Dial(workertest.Request{}), g.Dial(workertest.Request{})
	a.Send("exit") // on the goroutine that leads
	a.Send("1")
	a.Expect("1")
	b.Send("2")
	b.Expect("2")

	a.Send("block")
	a.Send("exit") // on the one that led, after its call
	a.Send("8")
	b.Send("9")
	b.Expect("9")
	release <- struct{}{}
	a.Expect("block")
	a.Expect("8")

	a.Send("block and exit") // on the pool's
	a.Send("exit")
	a.Send("3")
	b.Send("4")
	b.Expect("4")
	release <- struct{}{}
	a.Expect("3")

	a.Send("ask and exit")
	a.Send("timer that exits")
	a.Expect("timer that exits")
	a.Send("5")
	a.Expect("5")
	b.Send("6")
	b.Expect("6")
	await(t, func() bool { return g.Worker().Stats().Panics == 6 })
	g.RestartWorker(func() worker.Handler { return h }) // no goroutine is missed
	a.Send("7")
	a.Expect("7")
}
