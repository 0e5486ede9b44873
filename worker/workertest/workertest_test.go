package workertest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// office is a handler that uses many parts of the API.
func office(t *testing.T) worker.Handler {
	return worker.Handler{
		Connect: func(_ context.Context, c worker.Call) error {
			switch room := c.Request().Query("room"); room {
			case "":
			case "closed":
				return worker.Refuse(4403, "this room is closed")
			default:
				c.Join(room)
			}
			return nil
		},
		Message: func(ctx context.Context, c worker.Call, m worker.Message) error { return work(ctx, t, c, m) },
		Close: func(_ context.Context, c worker.Call, r worker.Reason) error {
			c.Publish(worker.Group("watchers"), worker.Text(fmt.Sprintf("%s gone: %v", c.UID(), r)))
			return nil
		},
	}
}

func work(ctx context.Context, t *testing.T, c worker.Call, m worker.Message) error {
	w := c.Worker()
	switch string(m.Data) {
	case "watch":
		c.Join("watchers")
		c.Send(worker.Text("watching"))
	case "login":
		c.BindExclusive("u1")
		c.MergeAttrs(map[string]string{"name": "Ann"})
		c.Send(worker.Text("hello"))
	case "who":
		name, _ := c.Attr("name")
		c.Send(worker.Text(c.UID() + " " + name))
	case "count":
		n, err := w.Count(ctx, worker.Everyone())
		if err != nil {
			return err
		}
		c.Send(worker.Text(fmt.Sprint(n)))
	case "rooms":
		var names []string
		for name, err := range w.Groups(ctx, worker.Everyone()) {
			if err != nil {
				return err
			}
			names = append(names, name)
		}
		slices.Sort(names)
		c.Send(worker.Text(fmt.Sprint(names)))
	case "compare":
		err := w.CompareAndSet(ctx, c.ID(), c.Version()+7, map[string]string{"name": "Bob"})
		if !errors.Is(err, worker.ErrConflict) {
			t.Errorf("a stale version: %v", err)
		}
		if err := w.CompareAndSet(ctx, c.ID(), c.Version(), map[string]string{"name": "Cid"}); err != nil {
			return err
		}
		c.Send(worker.Text("compared"))
	case "panic":
		c.Send(worker.Text("must not be received"))
		panic("on purpose")
	case "bye":
		c.Send(worker.Text("bye"))
		c.Close()
	default:
		c.Publish(worker.Group("r7").Except(c.ID()), m)
	}
	return nil
}

func TestOffice(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, office(t))
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
	if text := bob.ExpectContains("pared"); text != "compared" {
		t.Errorf("the message is returned as %q", text)
	}
	g.RestartWorker(func() worker.Handler { return office(t) })
	bob.Send("who") // attributes and uid have come along
	bob.Expect("u1 Cid")
	bob.Send("count")
	bob.Expect("2")

	bob.Send("panic")
	bob.Send("who") // lives, and received nothing of the call that failed
	bob.Expect("u1 Cid")
	if n := g.Worker().Stats().Panics; n != 1 {
		t.Errorf("%d panics counted", n)
	}
	bob.Send("bye")
	bob.Expect("bye")
	bob.ExpectClosed(worker.ReasonKicked)
	watcher.Expect("u1 gone: kicked")
	watcher.Drop()
	g.Dial(workertest.Request{Target: "/?room=closed"}).ExpectRefused("this room is closed")
}

// A test can read the overflow policy and the key of a message. They have no effect in memory,
// where no client is slow.
func TestWhatAMessageSaysOfSlowClients(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.Handler{Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
		m.Overflow, m.Conflate = worker.DropNewest, "price"
		c.Send(m)
		m.Overflow = worker.CloseSlow
		c.Publish(worker.Everyone(), m)
		if d, err := c.Worker().Deliver(ctx, c.ID(), m); d != worker.Delivered || err != nil {
			t.Errorf("%v, %v", d, err)
		}
		m.Raw, m.Conflate = true, ""
		c.Send(m)
		c.Send(worker.Text("done"))
		return nil
	}})
	c := g.Dial(workertest.Request{})
	c.Send("12")
	var received []string
	for m := c.Next(); string(m.Data) != "done"; m = c.Next() {
		received = append(received, fmt.Sprint(string(m.Data), m.Conflate, m.Overflow, m.Raw))
	}
	slices.Sort(received) // Deliver overtakes
	if got := fmt.Sprint(received); got != "[121 true 12price1 false 12price1 false 12price3 false]" {
		t.Error(got)
	}
}

// A client whose uid and attributes the gateway knows from its upgrade comes with them.
func TestIdentity(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.Handler{
		Connect: func(_ context.Context, c worker.Call) error {
			role, _ := c.Attr("role")
			c.Send(worker.Text(c.UID() + " is " + role))
			return nil
		},
	})
	ann := g.Dial(workertest.Request{UID: "ann", Attrs: map[string]string{"role": "admin"}})
	ann.Expect("ann is admin")
	g.Dial(workertest.Request{}).Expect(" is ")
	if err := g.Worker().Publish(t.Context(), worker.UID("ann"), worker.Text("hello ann")); err != nil {
		t.Fatal(err)
	}
	ann.Expect("hello ann")
}

// Authenticate decides on WebSockets, and Connect sees what it has said.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.Handler{
		Authenticate: func(_ context.Context, r *worker.Request) (worker.Identity, error) {
			switch user := r.Query("user"); user {
			case "":
				return worker.Identity{}, worker.RefuseStatus(401, "who are you?")
			case "ann":
				return worker.Identity{UID: user, Attrs: map[string]string{"from": r.RemoteAddr().String()}}, nil
			}
			return worker.Identity{}, errors.New("unknown user")
		},
		Connect: func(_ context.Context, c worker.Call) error {
			from, _ := c.Attr("from")
			c.Send(worker.Text(c.UID() + " from " + from))
			return nil
		},
	})
	g.Dial(workertest.Request{Target: "/?user=ann"}).Expect("ann from 192.0.2.1:1234")
	g.Dial(workertest.Request{Target: "/"}).ExpectRefused("who are you?")
	g.Dial(workertest.Request{Target: "/?user=bob"}).ExpectRefused("Internal Server Error")
	g.Dial(workertest.Request{}).Expect(" from ") // no WebSocket
}

// A test sees what the statistics count, also what earlier workers have counted.
func TestExpectCalls(t *testing.T) {
	t.Parallel()
	newHandler := func() worker.Handler {
		return worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			if string(m.Data) == "fail" {
				return errors.New("on purpose")
			}
			c.Interface(string(m.Data))
			c.Send(m)
			return nil
		}}
	}
	g := workertest.NewWithConfig(t, newHandler(), worker.Config{Logger: slog.New(slog.DiscardHandler)})
	c := g.Dial(workertest.Request{})
	c.Send("fail")
	c.Send("login")
	c.Expect("login")
	g.ExpectCalls("login", 1, 0)
	g.ExpectCalls("message", 1, 1)
	g.ExpectCalls("logout", 0, 0)
	g.RestartWorker(newHandler)
	c.Send("login")
	c.Expect("login")
	g.ExpectCalls("login", 2, 0)
}

// A new worker adopts all clients, also those that never send anything.
func TestSilentClientsAreAdopted(t *testing.T) {
	t.Parallel()
	adopted := make(chan worker.ClientID, 100)
	fresh := func() worker.Handler {
		return worker.Handler{
			Adopt: func(_ context.Context, c worker.Call, to worker.Takeover) error {
				if to.Cause != worker.CauseDrained {
					t.Errorf("cause %v", to.Cause)
				}
				adopted <- c.ID()
				return nil
			},
		}
	}
	g := workertest.New(t, fresh())
	missing := make(map[worker.ClientID]bool)
	for range cap(adopted) {
		missing[g.Dial(workertest.Request{}).ID()] = true
	}
	g.RestartWorker(fresh)
	for range cap(adopted) {
		delete(missing, <-adopted)
	}
	if len(missing) > 0 || len(adopted) > 0 {
		t.Errorf("%d are not adopted", len(missing))
	}
}
