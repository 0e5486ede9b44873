package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"testing"

	"sluice/worker"
)

// errands is business that does what the test hands it, for whichever client speaks.
type errands chan func(*worker.Client)

func (e errands) OnMessage(c *worker.Client, m worker.Message) {
	(<-e)(c)
	_ = c.Send(worker.Text("done"))
}

// TestAPI goes through what business code can do and ask, with clients on two gateways: three people, of whom two are one user.
func TestAPI(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	e := make(errands, 1)
	w := run(t, worker.Config{Gateways: []string{g1.InnerAddr(), g2.InnerAddr()}}, e)
	<-w.Ready()
	ctx := t.Context()

	// does has somebody's handler do something. What it sends to the client itself comes before the end.
	does := func(l *line, f func(*worker.Client) error, hears ...string) {
		t.Helper()
		e <- func(c *worker.Client) {
			if err := f(c); err != nil {
				t.Error(err)
			}
		}
		l.say("go on")
		for _, text := range append(hears, "done") {
			l.hears(text)
		}
	}
	ann, bob, far := dial(t, g1), dial(t, g1), dial(t, g2) // far is Ann's phone
	var annID, bobID, farID worker.ClientID
	does(ann, func(c *worker.Client) error {
		annID = c.ID()
		if c.RemoteAddr() != ann.conn.LocalAddr().String() || c.Listener() != g1.Addrs()[0] {
			t.Errorf("from %s by %s", c.RemoteAddr(), c.Listener())
		}
		if id, err := worker.ParseClientID(c.ID().String()); id != c.ID() || err != nil {
			t.Errorf("%v became %v, %v", c.ID(), id, err)
		}
		return errors.Join(c.Bind("ann"), c.Join("red"), c.Join("blue"), c.SetAttrs(map[string]string{"name": "Ann", "old": "x"}), c.MergeAttrs(map[string]string{"old": ""}))
	})
	does(bob, func(c *worker.Client) error { bobID = c.ID(); return errors.Join(c.Bind("bob"), c.Join("red")) })
	does(far, func(c *worker.Client) error { farID = c.ID(); return errors.Join(c.Bind("ann"), c.Join("blue")) })

	// Questions, in the test's goroutine.
	is := func(what string, got any, err error, want string) {
		t.Helper()
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("%s: %v, %v, want %s", what, got, err, want)
		}
	}
	sorted := func(names iter.Seq2[string, error]) (list []string) {
		for name, err := range names {
			if err != nil {
				t.Error(err)
			}
			list = append(list, name)
		}
		slices.Sort(list)
		return list
	}
	uids, err := w.CountUIDs(ctx, "ann", "bob", "zed")
	is("CountUIDs", uids, err, "map[ann:2 bob:1 zed:0]")
	groups, err := w.CountGroups(ctx, "red", "blue")
	is("CountGroups", groups, err, "map[blue:2 red:2]")
	is("UIDs", sorted(w.UIDs(ctx)), nil, "[ann bob]")
	is("UIDs of a group", sorted(w.UIDs(ctx, "blue")), nil, "[ann]")
	is("GroupNames", sorted(w.GroupNames(ctx)), nil, "[blue red]")
	of, err := w.Client(annID).Groups(ctx)
	slices.Sort(of)
	is("Groups", of, err, "[blue red]")
	online, err := w.Client(farID).Online(ctx)
	is("Online", online, err, "true")

	// Sending: to groups, uids, clients, all; what else is heard would come first at the next line.
	m := worker.Text
	does(bob, func(c *worker.Client) error { return c.PublishGroups([]string{"red", "blue"}, m("groups"), c.ID()) })
	ann.hears("groups")
	far.hears("groups")
	does(bob, func(c *worker.Client) error { return c.SendUID("ann", m("uid"), farID) })
	ann.hears("uid")
	does(bob, func(c *worker.Client) error { return c.SendUIDs([]string{"ann", "bob"}, m("uids")) }, "uids")
	ann.hears("uids")
	far.hears("uids")
	does(bob, func(c *worker.Client) error { return c.SendClients([]worker.ClientID{annID, farID}, m("list")) })
	ann.hears("list")
	far.hears("list")
	does(bob, func(c *worker.Client) error { return c.Broadcast(m("all"), annID) }, "all")
	far.hears("all")

	// Leaving.
	does(ann, func(c *worker.Client) error { return c.Leave("red") })
	does(bob, func(c *worker.Client) error {
		return errors.Join(c.Publish("red", m("red")), c.Dissolve("blue"), c.Publish("blue", m("blue")), c.Broadcast(m("end")))
	}, "red", "end")
	ann.hears("end")
	far.hears("end")
	does(ann, func(c *worker.Client) error { return c.Unbind() })
	uids, err = w.CountUIDs(ctx, "ann")
	is("CountUIDs after Unbind", uids, err, "map[ann:1]")

	// Attributes of a client elsewhere, changed only if nobody else has.
	row := one(t, w, worker.Query{Clients: []worker.ClientID{annID}, Fields: worker.FieldAttrs})
	is("attributes", row.Attrs, nil, "map[name:Ann]")
	richer := maps.Clone(row.Attrs)
	richer["gold"] = "1"
	is("CompareAndSet", nil, w.Client(annID).CompareAndSet(ctx, row.Version, richer), "<nil>")
	if err := w.Client(annID).CompareAndSet(ctx, row.Version, richer); !errors.Is(err, worker.ErrConflict) {
		t.Errorf("CompareAndSet of what has changed: %v", err)
	}
	does(ann, func(c *worker.Client) error { // her worker knows by now: the change came before her message
		is("after CompareAndSet", c.Attrs(), nil, "map[gold:1 name:Ann]")
		return nil
	})

	// Ends.
	is("CloseWith", nil, w.Client(farID).CloseWith(m("bye")), "<nil>")
	far.hears("bye")
	far.ends()
	is("Destroy", nil, w.Client(bobID).Destroy(), "<nil>")
	bob.ends()
	await(t, func() bool { n, err := w.Count(ctx); return n == 1 && err == nil })
	online, err = w.Client(farID).Online(ctx)
	is("Online when gone", online, err, "false")
	d, err := w.Client(farID).Deliver(ctx, m("late"))
	is("Deliver to who is gone", d, err, "gone")
	d, err = w.Client(annID).Deliver(ctx, m("still"))
	is("Deliver", d, err, "delivered")
	ann.hears("still")
}

// one is the only row of an answer.
func one(t *testing.T, w *worker.Worker, q worker.Query) (row worker.Row) {
	t.Helper()
	n := 0
	for r, err := range w.Select(context.Background(), q) {
		if err != nil {
			t.Fatal(err)
		}
		row = r
		n++
	}
	if n != 1 {
		t.Fatalf("%d rows", n)
	}
	return row
}

// ends waits for the connection's end, before which nothing more is heard.
func (l *line) ends() {
	l.t.Helper()
	if rest, err := io.ReadAll(l.in); len(rest) > 0 {
		l.t.Errorf("before the end: %q, %v", rest, err)
	}
}
