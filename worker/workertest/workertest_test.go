package workertest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/internal/leak"
	"sluice/worker"
	"sluice/worker/workertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// office is business code with a bit of everything.
type office struct{ t *testing.T }

func (o office) OnConnect(c *worker.Client) {
	if room := c.Request().Query("room"); room != "" {
		_ = c.Join(room)
	}
}

func (o office) OnClose(c *worker.Client, r worker.Reason) {
	_ = c.Publish("watchers", worker.Text(fmt.Sprintf("%s gone: %v", c.UID(), r)))
}

func (o office) OnMessage(c *worker.Client, m worker.Message) {
	ctx := context.Background()
	switch string(m.Data) {
	case "watch":
		_ = c.Join("watchers")
		_ = c.Send(worker.Text("watching"))
	case "login":
		_ = c.BindOnly("u1")
		_ = c.MergeAttrs(map[string]string{"name": "Ann"})
		_ = c.Send(worker.Text("hello"))
	case "who":
		name, _ := c.Attr("name")
		_ = c.Send(worker.Text(c.UID() + " " + name))
	case "count":
		n, err := c.Count(ctx)
		if err != nil {
			o.t.Error(err)
		}
		_ = c.Send(worker.Text(fmt.Sprint(n)))
	case "rooms":
		var names []string
		for name, err := range c.GroupNames(ctx) {
			if err != nil {
				o.t.Error(err)
			}
			names = append(names, name)
		}
		slices.Sort(names)
		_ = c.Send(worker.Text(fmt.Sprint(names)))
	case "compare":
		err := c.CompareAndSet(ctx, c.Version()+7, map[string]string{"name": "Bob"})
		if !errors.Is(err, worker.ErrConflict) {
			o.t.Errorf("a stale version: %v", err)
		}
		if err := c.CompareAndSet(ctx, c.Version(), map[string]string{"name": "Cid"}); err != nil {
			o.t.Error(err)
		}
		_ = c.Send(worker.Text("compared"))
	case "panic":
		_ = c.Send(worker.Text("must not be heard"))
		panic("on purpose")
	case "bye":
		_ = c.CloseWith(worker.Text("bye"))
	default:
		_ = c.Publish("r7", m, c.ID())
	}
}

func TestOffice(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, office{t})
	watcher := g.Dial(workertest.Request{})
	watcher.Send("watch")
	watcher.Expect("watching")

	ann := g.Dial(workertest.Request{Target: "/?room=r7", Header: map[string]string{"Cookie": "a=b"}})
	bob := g.Dial(workertest.Request{Target: "/?room=r7"})
	ann.Send("rooms")
	ann.Expect("[r7 watchers]")
	ann.Send("to the others")
	bob.Expect("to the others")

	ann.Send("login")
	ann.Expect("hello")
	bob.Send("login") // takes Ann's uid over
	bob.Expect("hello")
	ann.ExpectClosed(worker.ReasonReplaced)
	watcher.Expect("u1 gone: replaced")

	bob.Send("compare")
	bob.Expect("compared")
	g.RestartWorker()
	bob.Send("who") // attributes and uid have come along
	bob.Expect("u1 Cid")
	bob.Send("count")
	bob.Expect("2")

	bob.Send("panic")
	bob.Send("who") // lives, and heard nothing of the call that failed
	bob.Expect("u1 Cid")
	if n := g.Worker().Stats().Panics; n != 1 {
		t.Errorf("%d panics counted", n)
	}
	bob.Send("bye")
	bob.Expect("bye")
	bob.ExpectClosed(worker.ReasonKicked)
	watcher.Expect("u1 gone: kicked")
	watcher.Drop()
}

// What a message says of slow clients is there for the test to see; in memory no client is slow.
func TestWhatAMessageSaysOfSlowClients(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		m.Class = &worker.Class{Overflow: worker.DropNewest, Latest: "price"}
		_ = c.Send(m)
		m.Class = &worker.Class{Overflow: worker.CloseSlow, Latest: "price"}
		_ = c.Broadcast(m)
		d, err := c.Deliver(context.Background(), m)
		if d != worker.Delivered || err != nil {
			t.Errorf("%v, %v", d, err)
		}
		m.Class = &worker.Class{Latest: strings.Repeat("x", 1<<16)}
		if err := c.Send(m); !errors.Is(err, worker.ErrTooBig) {
			t.Errorf("a key of 64 KiB: %v", err)
		}
		_ = c.Send(worker.Text("done"))
	}))
	c := g.Dial(workertest.Request{})
	c.Send("12")
	var heard []string
	for m := c.Next(); string(m.Data) != "done"; m = c.Next() {
		heard = append(heard, fmt.Sprint(string(m.Data), m.Class.Latest, m.Class.Overflow))
	}
	slices.Sort(heard) // Deliver overtakes
	if got := fmt.Sprint(heard); got != "[12price1 12price1 12price3]" {
		t.Error(got)
	}
}
