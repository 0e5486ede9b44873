package worker_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"sluice/worker"
	"sluice/worker/workertest"
)

// harmless are the methods whose arguments all fit in a frame, whatever they are.
var harmless = []string{
	"Attr", "Attrs", "Version", "ID", "UID", "RemoteAddr", "Listener", "Request", "Flush", "Close", "Destroy", "Unbind", "Online", "Groups", "Client",
	"After", "Count", "CountByGateway", "GroupNames", "Run", "Ready", "Stats",
}

// TestArgumentsThatDoNotFit gives each method of the API what a frame has no room for: an error, and no effect.
func TestArgumentsThatDoNotFit(t *testing.T) {
	t.Parallel()
	var w *worker.Worker
	const list = 1 << 16 // one more than fits
	var (
		ctx     = t.Context()
		long    = strings.Repeat("n", 1<<16)
		names   = make([]string, list)
		ids     = make([]worker.ClientID, list)
		large   = worker.Bytes(make([]byte, 16<<20+1))
		small   = worker.Text("small")
		keyed   = worker.Message{Class: &worker.Class{Latest: long}}
		classed = worker.Message{Class: &worker.Class{Overflow: worker.DropNewest + 1}}
		much    = map[string]string{"k": strings.Repeat("v", 1<<20-16)}
		many    = map[string]string{}
	)
	for i := range names {
		names[i] = fmt.Sprint("name", i)
		many[names[i]] = ""
	}
	only := func(_ any, err error) error { return err }
	selects := func(q worker.Query) error {
		for _, err := range w.Select(ctx, q) {
			return err
		}
		return nil
	}
	type calls []func(c *worker.Client) error
	tooBig := map[string]calls{
		"Send": {
			func(c *worker.Client) error { return c.Send(large) },
			func(c *worker.Client) error { return c.Send(keyed) },
		},
		"Deliver": {
			func(c *worker.Client) error { return only(c.Deliver(ctx, large)) },
			func(c *worker.Client) error { return only(c.Deliver(ctx, keyed)) },
		},
		"CloseWith":     {func(c *worker.Client) error { return c.CloseWith(large) }},
		"Bind":          {func(c *worker.Client) error { return c.Bind(long) }},
		"BindOnly":      {func(c *worker.Client) error { return c.BindOnly(long) }},
		"Join":          {func(c *worker.Client) error { return c.Join(long) }},
		"JoinNow":       {func(c *worker.Client) error { return c.JoinNow(ctx, long) }},
		"Leave":         {func(c *worker.Client) error { return c.Leave(long) }},
		"SetAttrs":      attrCalls((*worker.Client).SetAttrs, long, much, many),
		"MergeAttrs":    attrCalls((*worker.Client).MergeAttrs, long, much, many),
		"CompareAndSet": attrCalls(func(c *worker.Client, a map[string]string) error { return c.CompareAndSet(ctx, c.Version(), a) }, long, much, many),
		"Publish": {
			func(c *worker.Client) error { return c.Publish(long, small) },
			func(c *worker.Client) error { return c.Publish("g", large) },
			func(c *worker.Client) error { return c.Publish("g", keyed) },
			func(c *worker.Client) error { return c.Publish("g", small, ids...) },
		},
		"PublishGroups": {
			func(c *worker.Client) error { return c.PublishGroups(names, small) },
			func(c *worker.Client) error { return c.PublishGroups([]string{"g", long}, small) },
			func(c *worker.Client) error { return c.PublishGroups([]string{"g"}, small, ids...) },
		},
		"SendUID": {
			func(c *worker.Client) error { return c.SendUID(long, small) },
			func(c *worker.Client) error { return c.SendUID("u", small, ids...) },
		},
		"SendUIDs": {
			func(c *worker.Client) error { return c.SendUIDs(names, small) },
			func(c *worker.Client) error { return c.SendUIDs([]string{long}, small) },
			func(c *worker.Client) error { return c.SendUIDs([]string{"u"}, small, ids...) },
		},
		"SendClients": {
			func(c *worker.Client) error { return c.SendClients(ids, small) },
			func(c *worker.Client) error { return c.SendClients(ids[:1], large) },
		},
		"Broadcast": {
			func(c *worker.Client) error { return c.Broadcast(large) },
			func(c *worker.Client) error { return c.Broadcast(keyed) },
			func(c *worker.Client) error { return c.Broadcast(small, ids...) },
		},
		"Dissolve": {func(c *worker.Client) error { return c.Dissolve(long) }},
		"CountGroups": {
			func(c *worker.Client) error { return only(c.CountGroups(ctx, names...)) },
			func(c *worker.Client) error { return only(c.CountGroups(ctx, long)) },
		},
		"CountUIDs": {
			func(c *worker.Client) error { return only(c.CountUIDs(ctx, names...)) },
			func(c *worker.Client) error { return only(c.CountUIDs(ctx, long)) },
		},
		"OnlineClients": {func(c *worker.Client) error { return only(c.OnlineClients(ctx, ids...)) }},
		"UIDs": {func(c *worker.Client) error {
			for _, err := range c.UIDs(ctx, long) {
				return err
			}
			return nil
		}},
		"Select": {
			func(*worker.Client) error { return selects(worker.Query{Groups: names}) },
			func(*worker.Client) error { return selects(worker.Query{UIDs: []string{long}}) },
			func(*worker.Client) error { return selects(worker.Query{Clients: ids}) },
		},
	}
	invalid := map[string]calls{
		"Send":      {func(c *worker.Client) error { return c.Send(classed) }},
		"Deliver":   {func(c *worker.Client) error { return only(c.Deliver(ctx, classed)) }},
		"Publish":   {func(c *worker.Client) error { return c.Publish("g", classed) }},
		"Broadcast": {func(c *worker.Client) error { return c.Broadcast(classed) }},
		"Select": {
			func(*worker.Client) error { return selects(worker.Query{Page: -1}) },
			func(*worker.Client) error { return selects(worker.Query{Fields: 0x10}) },
			func(*worker.Client) error { return selects(worker.Query{UIDs: names[:1], Groups: names[:1]}) },
		},
	}

	e := make(errands, 1)
	g := workertest.New(t, e)
	w = g.Worker()
	for _, of := range []reflect.Type{reflect.TypeFor[*worker.Client](), reflect.TypeFor[*worker.Worker]()} {
		for m := range of.Methods() {
			listed := tooBig[m.Name] != nil
			for _, name := range harmless {
				listed = listed || name == m.Name
			}
			if !listed {
				t.Errorf("nothing says what becomes of arguments of (%v).%s that do not fit", of, m.Name)
			}
		}
	}
	client := g.Dial(workertest.Request{})
	try := func(c *worker.Client, whose string) {
		for want, all := range map[error]map[string]calls{worker.ErrTooBig: tooBig, worker.ErrInvalid: invalid} {
			for name, calls := range all {
				for i, call := range calls {
					if err := call(c); !errors.Is(err, want) {
						t.Errorf("%s: %s, call %d: %v, want %v", whose, name, i, err, want)
					}
				}
			}
		}
	}
	try(w.Client(client.ID()), "any worker")
	e <- func(c *worker.Client) {
		_ = c.SetAttrs(map[string]string{"name": "Ann"})
		try(c, "its own worker")
		if got := fmt.Sprint(c.Attrs(), c.Version(), c.UID()); got != "map[name:Ann] 1" {
			t.Errorf("the worker knows %s", got)
		}
	}
	client.Send("go on")
	client.Expect("done")
	row := one(t, w, worker.Query{Fields: worker.FieldUID | worker.FieldGroups | worker.FieldAttrs})
	if got := fmt.Sprint(row.UID, row.Groups, row.Attrs, row.Version); got != "[] map[name:Ann] 1" {
		t.Errorf("the gateway knows %s", got)
	}
}

// attrCalls are a key that is too long, and attributes that are too large or too many.
func attrCalls(set func(*worker.Client, map[string]string) error, long string, much, many map[string]string) (all []func(*worker.Client) error) {
	for _, attrs := range []map[string]string{{long: "v"}, much, many} {
		all = append(all, func(c *worker.Client) error { return set(c, attrs) })
	}
	return all
}

// TestAttributesAreBounded goes over the bound of a client's attributes by merging, one way and the other: an error, and no effect at the worker or the gateway. What another worker has set
// at the same moment, so that only the gateway can know, changes the worker's copy to what stands.
func TestAttributesAreBounded(t *testing.T) {
	t.Parallel()
	mega := func(n int) string { return strings.Repeat("x", n<<10) }
	for name, start := range map[string]func(*testing.T, worker.Handler) (w *worker.Worker, say func(string), hears func(string)){
		"workertest": func(t *testing.T, h worker.Handler) (*worker.Worker, func(string), func(string)) {
			g := workertest.New(t, h)
			c := g.Dial(workertest.Request{})
			return g.Worker(), c.Send, c.Expect
		},
		"gateway": func(t *testing.T, h worker.Handler) (*worker.Worker, func(string), func(string)) {
			g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
			w := run(t, worker.Config{Gateways: []string{g.InnerAddr()}}, h)
			<-w.Ready()
			l := dial(t, g)
			return w, l.say, l.hears
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := make(errands, 1)
			w, say, hears := start(t, e)
			does := func(f func(*worker.Client)) {
				t.Helper()
				e <- f
				say("go on")
				hears("done")
			}
			is := func(what string, attrs map[string]string, version uint32, keys string) {
				t.Helper()
				if got := fmt.Sprint(version, len(attrs), attrs["a"] != "", attrs["b"] != "", attrs["c"] != ""); got != keys {
					t.Errorf("%s: version, number, a, b, c: %s, want %s", what, got, keys)
				}
			}
			both := func(keys string) {
				t.Helper()
				row := one(t, w, worker.Query{Fields: worker.FieldAttrs})
				is("the gateway knows", row.Attrs, row.Version, keys)
				does(func(c *worker.Client) { is("the worker knows", c.Attrs(), c.Version(), keys) })
			}
			var id worker.ClientID
			does(func(c *worker.Client) {
				id = c.ID()
				if err := c.SetAttrs(map[string]string{"a": mega(600)}); err != nil {
					t.Error(err)
				}
				if err := c.MergeAttrs(map[string]string{"b": mega(600)}); !errors.Is(err, worker.ErrTooBig) {
					t.Errorf("together too much: %v", err)
				}
				is("the worker knows", c.Attrs(), c.Version(), "1 1 true false false")
			})
			both("1 1 true false false")
			does(func(c *worker.Client) { // what is there makes room for what replaces it
				err := errors.Join(c.SetAttrs(map[string]string{"b": mega(1000)}), c.MergeAttrs(map[string]string{"b": mega(500)}))
				if err != nil {
					t.Error(err)
				}
			})
			both("3 1 false true false")
			if err := w.Client(id).MergeAttrs(map[string]string{"c": mega(600)}); err != nil {
				t.Error("what only the gateway knows:", err)
			}
			both("3 1 false true false")

			// A change of somebody else's that is still on its way to the worker when it makes its own.
			does(func(c *worker.Client) {
				if err := w.Client(id).MergeAttrs(map[string]string{"a": mega(400)}); err != nil {
					t.Error(err)
				}
				_ = c.MergeAttrs(map[string]string{"c": mega(400)}) // may know of it or not
			})
			await(t, func() bool {
				row := one(t, w, worker.Query{Fields: worker.FieldAttrs})
				same := false
				does(func(c *worker.Client) { same = c.Version() == row.Version && maps.Equal(c.Attrs(), row.Attrs) })
				return same && row.Attrs["a"] != "" && row.Attrs["c"] == ""
			})
		})
	}
}
