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

	"github.com/seed-7410fe32/sluice/worker"
)

// errands is a handler that runs the functions of the test, as part of the calls of the client that
// sends a message.
type errands chan func(context.Context, worker.Call) error

func (e errands) handler() worker.Handler {
	return worker.Handler{Message: func(ctx context.Context, c worker.Call, _ worker.Message) error {
		if err := (<-e)(ctx, c); err != nil {
			return err
		}
		c.Send(worker.Text("done"))
		return nil
	}}
}

// TestAPI uses all of the API, with clients of two gateways: three clients, of which two have the
// same uid.
func TestAPI(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	e := make(errands, 1)
	w := run(t, worker.Config{Gateways: []string{g1.WorkerAddr(), g2.WorkerAddr()}}, e.handler())
	<-w.Ready()
	ctx := t.Context()

	// does lets a client's handler run f. What f sends to the client itself comes before the end.
	does := func(l *line, f func(worker.Call), receives ...string) {
		t.Helper()
		e <- func(_ context.Context, c worker.Call) error {
			f(c)
			return nil
		}
		l.say("go on")
		for _, text := range append(receives, "done") {
			l.receives(text)
		}
	}
	ann, bob, far := dial(t, g1), dial(t, g1), dial(t, g2) // far is Ann's phone
	var annID, bobID, farID worker.ClientID
	does(ann, func(c worker.Call) {
		annID = c.ID()
		if c.RemoteAddr().String() != ann.conn.LocalAddr().String() || c.Listener() != g1.Addrs()[0] {
			t.Errorf("from %s by %s", c.RemoteAddr(), c.Listener())
		}
		if id, err := worker.ParseClientID(c.ID().String()); id != c.ID() || err != nil {
			t.Errorf("%v became %v, %v", c.ID(), id, err)
		}
		if c.Worker() != w {
			t.Error("the call is another worker's")
		}
		c.Bind("ann")
		c.Join("red")
		c.Join("blue")
		c.SetAttrs(map[string]string{"name": "Ann", "old": "x"})
		c.MergeAttrs(map[string]string{"old": ""})
	})
	does(bob, func(c worker.Call) { bobID = c.ID(); c.Bind("bob"); c.Join("red") })
	does(far, func(c worker.Call) { farID = c.ID(); c.Bind("ann"); c.Join("blue") })

	// Queries, in the test's goroutine.
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
	counts := func(targets ...worker.Target) []int {
		t.Helper()
		n, err := w.Counts(ctx, targets)
		if err != nil {
			t.Error(err)
		}
		for i, target := range targets { // one by one as all at once
			if one, err := w.Count(ctx, target); one != n[i] || err != nil {
				t.Errorf("target %d: %d, %v, and %d in Counts", i, one, err, n[i])
			}
		}
		return n
	}
	nobody := worker.ClientID{9}
	is("uids", counts(
		worker.UID("ann"), worker.UID("bob"), worker.UID("zed"), worker.UIDs("ann", "bob", "ann"), worker.UIDs(),
	), nil, "[2 1 0 3 0]")
	is("groups", counts(
		worker.Group("red"), worker.Group("blue"), worker.Groups("red", "blue"), worker.Groups(),
	), nil, "[2 2 3 0]")
	is("clients", counts(
		worker.Client(annID), worker.Client(nobody), worker.Clients(annID, farID, farID, nobody), worker.Clients(),
	), nil, "[1 0 2 0]")
	is("all", counts(
		worker.Everyone(), worker.Everyone().Except(bobID), worker.Group("red").Except(bobID, farID),
		worker.Client(annID).Except(annID),
	), nil, "[3 2 1 0]")
	is("UIDs", sorted(w.UIDs(ctx, worker.Everyone())), nil, "[ann bob]")
	is("UIDs of a group", sorted(w.UIDs(ctx, worker.Group("blue"))), nil, "[ann]")
	is("UIDs of a client", sorted(w.UIDs(ctx, worker.Client(bobID))), nil, "[bob]")
	is("UIDs but one's", sorted(w.UIDs(ctx, worker.Everyone().Except(bobID))), nil, "[ann]")
	is("Groups", sorted(w.Groups(ctx, worker.Everyone())), nil, "[blue red]")
	is("Groups of a client", sorted(w.Groups(ctx, worker.Client(annID))), nil, "[blue red]")
	is("Groups of a uid", sorted(w.Groups(ctx, worker.UID("bob"))), nil, "[red]")

	// Sending: to groups, uids, clients, everyone. An unexpected message would fail the next line.
	m := worker.Text
	sends := func(target func(c worker.Call) worker.Target, text string, receives ...string) {
		t.Helper()
		does(bob, func(c worker.Call) { c.Publish(target(c), m(text)) }, receives...)
	}
	sends(func(c worker.Call) worker.Target { return worker.Groups("red", "blue").Except(c.ID()) }, "groups")
	ann.receives("groups")
	far.receives("groups")
	sends(func(worker.Call) worker.Target { return worker.UID("ann").Except(farID) }, "uid")
	ann.receives("uid")
	sends(func(worker.Call) worker.Target { return worker.UIDs("ann", "bob") }, "uids", "uids")
	ann.receives("uids")
	far.receives("uids")
	sends(func(worker.Call) worker.Target { return worker.Clients(annID, farID, bobID).Except(bobID) }, "list")
	ann.receives("list")
	far.receives("list")
	sends(func(worker.Call) worker.Target { return worker.Client(farID) }, "one")
	sends(func(worker.Call) worker.Target { return worker.Clients(annID) }, "one")
	sends(func(worker.Call) worker.Target { return worker.Clients() }, "nobody")
	sends(func(worker.Call) worker.Target { return worker.Client(bobID).Except(bobID) }, "nobody")
	ann.receives("one")
	far.receives("one")
	sends(func(worker.Call) worker.Target { return worker.Everyone().Except(annID) }, "all", "all")
	far.receives("all")
	for i, target := range []worker.Target{
		worker.UID("ann"), worker.Clients(annID, farID), worker.Everyone().Except(bobID), worker.Groups("blue", "blue"),
	} {
		is("Publish", nil, w.Publish(ctx, target, m(fmt.Sprint(i))), "<nil>")
		ann.receives(fmt.Sprint(i))
		far.receives(fmt.Sprint(i))
	}

	// Joining and leaving, with a Call and with the Worker.
	does(ann, func(c worker.Call) { c.Leave("red") })
	is("DeleteGroup", nil, w.DeleteGroup(ctx, "blue"), "<nil>")
	await(t, func() bool { n, err := w.Count(ctx, worker.Group("blue")); return n == 0 && err == nil })
	does(bob, func(c worker.Call) {
		c.Publish(worker.Group("red"), m("red"))
		c.Publish(worker.Group("blue"), m("blue"))
		c.Publish(worker.Everyone(), m("end"))
	}, "red", "end")
	ann.receives("end")
	far.receives("end")
	is("Join", nil, w.Join(ctx, worker.UID("ann"), "green"), "<nil>")
	is("joined", counts(worker.Group("green")), nil, "[2]")
	is("Leave", nil, w.Leave(ctx, worker.Group("green").Except(annID), "green"), "<nil>")
	is("left", counts(worker.Group("green"), worker.Client(annID)), nil, "[1 1]")
	does(ann, func(c worker.Call) { c.Unbind() })
	is("after Unbind", counts(worker.UID("ann")), nil, "[1]")
	is("Bind", nil, w.Bind(ctx, annID, "anna"), "<nil>")
	is("bound", counts(worker.UID("anna")), nil, "[1]")
	is("Unbind", nil, w.Unbind(ctx, annID), "<nil>")
	is("unbound", counts(worker.UID("anna")), nil, "[0]")

	// Attributes of another client, with CompareAndSet.
	row := one(t, w, worker.Client(annID), worker.FieldAttrs)
	is("attributes", row.Attrs, nil, "map[name:Ann]")
	richer := maps.Clone(row.Attrs)
	richer["gold"] = "1"
	is("CompareAndSet", nil, w.CompareAndSet(ctx, annID, row.Version, richer), "<nil>")
	if err := w.CompareAndSet(ctx, annID, row.Version, richer); !errors.Is(err, worker.ErrConflict) {
		t.Errorf("CompareAndSet of what has changed: %v", err)
	}
	does(ann, func(c worker.Call) { // her worker knows by now: the change came before her message
		is("after CompareAndSet", maps.Collect(c.Attrs()), nil, "map[gold:1 name:Ann]")
	})
	is("MergeAttrs", nil, w.MergeAttrs(ctx, annID, map[string]string{"gold": ""}), "<nil>")
	is("merged", one(t, w, worker.Client(annID), worker.FieldAttrs).Attrs, nil, "map[name:Ann]")
	is("SetAttrs", nil, w.SetAttrs(ctx, annID, map[string]string{"gold": "2"}), "<nil>")
	is("set", one(t, w, worker.Client(annID), worker.FieldAttrs).Attrs, nil, "map[gold:2]")

	// Closing.
	is("CloseWith", nil, w.CloseWith(ctx, worker.UID("ann"), m("bye")), "<nil>")
	far.receives("bye")
	far.ends()
	is("CloseNow", nil, w.CloseNow(ctx, worker.Client(bobID)), "<nil>")
	bob.ends()
	is("those who stay", counts(worker.Everyone(), worker.Client(farID)), nil, "[1 0]")
	d, err := w.Deliver(ctx, farID, m("late"))
	is("Deliver to who is gone", d, err, "gone")
	d, err = w.Deliver(ctx, annID, m("still"))
	is("Deliver", d, err, "delivered")
	ann.receives("still")
	for what, err := range map[string]error{
		"Close":         w.Close(ctx, worker.Client(farID)),
		"Join":          w.Join(ctx, worker.Client(farID), "red"),
		"Leave":         w.Leave(ctx, worker.Client(farID), "red"),
		"Bind":          w.Bind(ctx, farID, "ann"),
		"BindExclusive": w.BindExclusive(ctx, farID, "ann"),
		"Unbind":        w.Unbind(ctx, farID),
		"SetAttrs":      w.SetAttrs(ctx, farID, nil),
		"MergeAttrs":    w.MergeAttrs(ctx, farID, nil),
		"CompareAndSet": w.CompareAndSet(ctx, farID, 0, nil),
	} {
		if !errors.Is(err, worker.ErrGone) {
			t.Errorf("%s of who is gone: %v", what, err)
		}
	}
	is("Close of those who are gone", nil, w.Close(ctx, worker.Clients(farID, bobID)), "<nil>")
}

// one returns the only row of an answer.
func one(t *testing.T, w *worker.Worker, target worker.Target, fields worker.Fields) (row worker.ClientInfo) {
	t.Helper()
	n := 0
	for r, err := range w.Select(context.Background(), target, fields) {
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

// ends waits for the end of the connection. Another message before it is an error.
func (l *line) ends() {
	l.t.Helper()
	if rest, err := io.ReadAll(l.in); len(rest) > 0 {
		l.t.Errorf("before the end: %q, %v", rest, err)
	}
}
