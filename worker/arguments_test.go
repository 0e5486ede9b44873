package worker_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// harmless are the methods that have no arguments, or whose arguments always fit in a frame.
var harmless = []string{
	"Attr", "Attrs", "Version", "ID", "UID", "RemoteAddr", "Listener", "Request", "Worker", "Flush", "Close", "CloseNow",
	"Unbind", "After", "Run", "Ready", "Stats", "Interface", "Record",
}

// misfits are arguments that do not fit in a frame, or that are invalid.
type misfits struct {
	long           string
	names          []string
	ids            []worker.ClientID
	large          worker.Message
	keyed, classed worker.Message
	attrs          []map[string]string
}

func newMisfits() (m misfits) {
	const list = 1 << 16 // one more than fits
	m.long, m.names, m.ids = strings.Repeat("n", 1<<16), make([]string, list), make([]worker.ClientID, list)
	m.large = worker.Bytes(make([]byte, 16<<20+1))
	m.keyed, m.classed = worker.Message{Conflate: m.long}, worker.Message{Overflow: worker.DropNewest + 1}
	many := map[string]string{}
	for i := range m.names {
		m.names[i] = fmt.Sprint("name", i)
		many[m.names[i]] = ""
	}
	m.attrs = []map[string]string{{m.long: "v"}, {"k": strings.Repeat("v", 1<<20-16)}, many}
	return m
}

// targets are targets that do not fit in a frame.
func (m *misfits) targets() []worker.Target {
	return []worker.Target{
		worker.Group(m.long), worker.Groups(m.names...), worker.Groups("g", m.long),
		worker.UID(m.long), worker.UIDs(m.names...), worker.UIDs(m.long), worker.Clients(m.ids...),
	}
}

var small = worker.Text("small")

// ofCall are calls of methods of Call that must fail, by the name of the method, with the error of
// each.
func (m *misfits) ofCall() map[string]map[error][]func(worker.Call) {
	all := map[string]map[error][]func(worker.Call){
		"Send": {
			worker.ErrTooBig:  {func(c worker.Call) { c.Send(m.large) }, func(c worker.Call) { c.Send(m.keyed) }},
			worker.ErrInvalid: {func(c worker.Call) { c.Send(m.classed) }},
		},
		"Publish": {
			worker.ErrTooBig: {
				func(c worker.Call) { c.Publish(worker.Group("g"), m.large) },
				func(c worker.Call) { c.Publish(worker.Group("g"), m.keyed) },
				func(c worker.Call) { c.Publish(worker.Client(c.ID()), m.large) },
				func(c worker.Call) { c.Publish(worker.Everyone().Except(m.ids...), small) },
			},
			worker.ErrInvalid: {
				func(c worker.Call) { c.Publish(worker.Target{}, small) },
				func(c worker.Call) { c.Publish(worker.Everyone(), m.classed) },
			},
			worker.ErrEmpty: {
				func(c worker.Call) { c.Publish(worker.Group(""), small) },
				func(c worker.Call) { c.Publish(worker.UIDs("u", ""), small) },
			},
		},
		"CloseCode": {worker.ErrInvalid: {
			func(c worker.Call) { c.CloseCode(1000, "x") },
			func(c worker.Call) { c.CloseCode(1008, m.long) },
		}},
		"SetAttrs":   {worker.ErrEmpty: {func(c worker.Call) { c.SetAttrs(map[string]string{"": "v"}) }}},
		"MergeAttrs": {worker.ErrEmpty: {func(c worker.Call) { c.MergeAttrs(map[string]string{"": "v"}) }}},
	}
	for _, t := range m.targets() {
		all["Publish"][worker.ErrTooBig] = append(all["Publish"][worker.ErrTooBig],
			func(c worker.Call) { c.Publish(t, small) })
	}
	for _, attrs := range m.attrs {
		all["SetAttrs"][worker.ErrTooBig] = append(all["SetAttrs"][worker.ErrTooBig],
			func(c worker.Call) { c.SetAttrs(attrs) })
		all["MergeAttrs"][worker.ErrTooBig] = append(all["MergeAttrs"][worker.ErrTooBig],
			func(c worker.Call) { c.MergeAttrs(attrs) })
	}
	for name, of := range map[string]func(worker.Call, string){
		"Join":          worker.Call.Join,
		"Leave":         worker.Call.Leave,
		"Bind":          worker.Call.Bind,
		"BindExclusive": worker.Call.BindExclusive,
	} {
		all[name] = map[error][]func(worker.Call){
			worker.ErrTooBig: {func(c worker.Call) { of(c, m.long) }}, worker.ErrEmpty: {func(c worker.Call) { of(c, "") }},
		}
	}
	return all
}

// ofWorker are the same for methods of Worker.
func (m *misfits) ofWorker(ctx context.Context, w *worker.Worker, id worker.ClientID) map[string]map[error][]error {
	only := func(_ any, err error) error { return err }
	firstOf := func(all iter.Seq2[string, error]) error {
		for _, err := range all {
			return err
		}
		return nil
	}
	selects := func(t worker.Target, f worker.Fields) error {
		for _, err := range w.Select(ctx, t, f) {
			return err
		}
		return nil
	}
	all := map[string]map[error][]error{
		"Publish": {
			worker.ErrTooBig: {
				w.Publish(ctx, worker.Client(id), m.large), w.Publish(ctx, worker.Everyone(), m.keyed),
				w.Publish(ctx, worker.Everyone().Except(m.ids...), small),
			},
			worker.ErrInvalid: {w.Publish(ctx, worker.Target{}, small), w.Publish(ctx, worker.Client(id), m.classed)},
			worker.ErrEmpty:   {w.Publish(ctx, worker.UID(""), small)},
		},
		"Deliver": {
			worker.ErrTooBig:  {only(w.Deliver(ctx, id, m.large)), only(w.Deliver(ctx, id, m.keyed))},
			worker.ErrInvalid: {only(w.Deliver(ctx, id, m.classed))},
		},
		"Select": {worker.ErrInvalid: {selects(worker.Everyone(), 0x10), selects(worker.Target{}, 0)}},
		"Count":  {worker.ErrInvalid: {only(w.Count(ctx, worker.Target{}))}},
		"Counts": {worker.ErrInvalid: {only(w.Counts(ctx, []worker.Target{worker.Everyone(), {}}))}},
		"UIDs":   {worker.ErrInvalid: {firstOf(w.UIDs(ctx, worker.Target{}))}},
		"Groups": {worker.ErrInvalid: {firstOf(w.Groups(ctx, worker.Target{}))}},
		"Close":  {worker.ErrInvalid: {w.Close(ctx, worker.Target{})}},
		"CloseWith": {
			worker.ErrInvalid: {w.CloseWith(ctx, worker.Target{}, small)},
			worker.ErrTooBig:  {w.CloseWith(ctx, worker.Client(id), m.large)},
		},
		"CloseNow":    {worker.ErrInvalid: {w.CloseNow(ctx, worker.Target{})}},
		"DeleteGroup": {worker.ErrTooBig: {w.DeleteGroup(ctx, m.long)}, worker.ErrEmpty: {w.DeleteGroup(ctx, "")}},
		"Bind":        {worker.ErrTooBig: {w.Bind(ctx, id, m.long)}, worker.ErrEmpty: {w.Bind(ctx, id, "")}},
		"BindExclusive": {
			worker.ErrTooBig: {w.BindExclusive(ctx, id, m.long)}, worker.ErrEmpty: {w.BindExclusive(ctx, id, "")},
		},
		"Join": {
			worker.ErrTooBig:  {w.Join(ctx, worker.Client(id), m.long)},
			worker.ErrEmpty:   {w.Join(ctx, worker.Client(id), "")},
			worker.ErrInvalid: {w.Join(ctx, worker.Target{}, "g")},
		},
		"Leave": {
			worker.ErrTooBig:  {w.Leave(ctx, worker.Client(id), m.long)},
			worker.ErrEmpty:   {w.Leave(ctx, worker.Client(id), "")},
			worker.ErrInvalid: {w.Leave(ctx, worker.Target{}, "g")},
		},
		"Invoke":   {worker.ErrTooBig: {only(w.Invoke(ctx, m.large.Data))}},
		"SetAttrs": {}, "MergeAttrs": {}, "CompareAndSet": {},
	}
	add := func(name string, err error) {
		all[name][worker.ErrTooBig] = append(all[name][worker.ErrTooBig], err)
	}
	for _, t := range m.targets() {
		add("Publish", w.Publish(ctx, t, small))
		add("Count", only(w.Count(ctx, t)))
		add("Counts", only(w.Counts(ctx, []worker.Target{t})))
		add("Select", selects(t, 0))
		add("UIDs", firstOf(w.UIDs(ctx, t)))
		add("Groups", firstOf(w.Groups(ctx, t)))
		add("Close", w.Close(ctx, t))
		add("CloseNow", w.CloseNow(ctx, t))
		add("Join", w.Join(ctx, t, "g"))
		add("Leave", w.Leave(ctx, t, "g"))
	}
	for _, attrs := range m.attrs {
		add("SetAttrs", w.SetAttrs(ctx, id, attrs))
		add("MergeAttrs", w.MergeAttrs(ctx, id, attrs))
		add("CompareAndSet", w.CompareAndSet(ctx, id, 1, attrs))
	}
	return all
}

// TestArgumentsThatDoNotFit calls each method of the API with arguments that do not fit in a frame.
// A method of Worker returns an error. A method of Call fails the call, and all its effects are
// discarded.
func TestArgumentsThatDoNotFit(t *testing.T) {
	t.Parallel()
	m := newMisfits()
	e, failed := make(errands, 1), make(chan error, 1)
	h := e.handler()
	h.Error = func(_ context.Context, c worker.Call, err error) {
		failed <- err
		c.Send(worker.Text("failed"))
	}
	g := workertest.NewWithConfig(t, h, worker.Config{Logger: slog.New(slog.DiscardHandler)})
	w := g.Worker()
	client := g.Dial(workertest.Request{})
	does := func(f func(worker.Call), receives string) {
		t.Helper()
		e <- func(_ context.Context, c worker.Call) error {
			f(c)
			return nil
		}
		client.Send("go on")
		client.Expect(receives)
	}
	does(func(c worker.Call) { c.SetAttrs(map[string]string{"name": "Ann"}) }, "done")
	ofCall, ofWorker := m.ofCall(), m.ofWorker(t.Context(), w, client.ID())
	listed := func(of reflect.Type, has func(string) bool) {
		for method := range of.Methods() {
			if !has(method.Name) && !slices.Contains(harmless, method.Name) {
				t.Errorf("nothing says what becomes of arguments of (%v).%s that do not fit", of, method.Name)
			}
		}
	}
	listed(reflect.TypeFor[worker.Call](), func(name string) bool { return ofCall[name] != nil })
	listed(reflect.TypeFor[*worker.Worker](), func(name string) bool { return ofWorker[name] != nil })
	for name, calls := range ofWorker {
		for want, errs := range calls {
			for i, err := range errs {
				if !errors.Is(err, want) {
					t.Errorf("Worker.%s, call %d: %v, want %v", name, i, err, want)
				}
			}
		}
	}
	for name, calls := range ofCall {
		for want, list := range calls {
			for i, call := range list {
				does(func(c worker.Call) {
					c.Bind("ghost")
					c.Send(worker.Text("must not be received"))
					call(c)
					c.MergeAttrs(map[string]string{"after": "it"})
				}, "failed")
				err := <-failed
				if said := "Call." + name + ": "; !errors.Is(err, want) || !strings.HasPrefix(err.Error(), said) {
					t.Errorf("%scall %d: %v, want %v", said, i, err, want)
				}
			}
		}
	}
	does(func(c worker.Call) {
		if got := fmt.Sprint(maps.Collect(c.Attrs()), c.Version(), c.UID()); got != "map[name:Ann] 1" {
			t.Errorf("the worker knows %s", got)
		}
	}, "done")
	row := one(t, w, worker.Everyone(), worker.FieldUID|worker.FieldGroups|worker.FieldAttrs)
	if got := fmt.Sprint(row.UID, row.Groups, row.Attrs, row.Version); got != "[] map[name:Ann] 1" {
		t.Errorf("the gateway knows %s", got)
	}
}

// TestAttributesAreBounded merges attributes beyond the bound, with a Call and with the Worker: an
// error, and no effect at the worker or the gateway. When another worker has set attributes at the
// same time, only the gateway can detect it, and the worker's copy becomes what the gateway has.
func TestAttributesAreBounded(t *testing.T) {
	t.Parallel()
	mega := func(n int) string { return strings.Repeat("x", n<<10) }
	type starter func(*testing.T, worker.Handler) (w *worker.Worker, say func(string), receives func(string))
	for name, start := range map[string]starter{
		"workertest": func(t *testing.T, h worker.Handler) (*worker.Worker, func(string), func(string)) {
			g := workertest.New(t, h)
			c := g.Dial(workertest.Request{})
			return g.Worker(), c.Send, c.Expect
		},
		"gateway": func(t *testing.T, h worker.Handler) (*worker.Worker, func(string), func(string)) {
			g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
			w := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}}, h)
			<-w.Ready()
			l := dial(t, g)
			return w, l.say, l.receives
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, failed := make(errands, 1), make(chan error, 1)
			h := e.handler()
			h.Error = func(_ context.Context, c worker.Call, err error) {
				failed <- err
				c.Send(worker.Text("failed"))
			}
			w, say, receives := start(t, h)
			does := func(f func(context.Context, worker.Call), answer string) {
				t.Helper()
				e <- func(ctx context.Context, c worker.Call) error {
					f(ctx, c)
					return nil
				}
				say("go on")
				receives(answer)
			}
			is := func(what string, attrs map[string]string, version uint32, keys string) {
				t.Helper()
				if got := fmt.Sprint(version, len(attrs), attrs["a"] != "", attrs["b"] != "", attrs["c"] != ""); got != keys {
					t.Errorf("%s: version, number, a, b, c: %s, want %s", what, got, keys)
				}
			}
			both := func(keys string) {
				t.Helper()
				row := one(t, w, worker.Everyone(), worker.FieldAttrs)
				is("the gateway knows", row.Attrs, row.Version, keys)
				does(func(_ context.Context, c worker.Call) {
					is("the worker knows", maps.Collect(c.Attrs()), c.Version(), keys)
				}, "done")
			}
			var id worker.ClientID
			does(func(_ context.Context, c worker.Call) {
				id = c.ID()
				c.SetAttrs(map[string]string{"a": mega(600)})
			}, "done")
			both("1 1 true false false")
			does(func(_ context.Context, c worker.Call) {
				c.MergeAttrs(map[string]string{"b": mega(600)})
				is("the worker knows", maps.Collect(c.Attrs()), c.Version(), "1 1 true false false")
			}, "failed")
			if err := <-failed; !errors.Is(err, worker.ErrTooBig) {
				t.Errorf("together too much: %v", err)
			}
			both("1 1 true false false")
			does(func(_ context.Context, c worker.Call) { // what is there makes room for what replaces it
				c.SetAttrs(map[string]string{"b": mega(1000)})
				c.MergeAttrs(map[string]string{"b": mega(500)})
			}, "done")
			both("3 1 false true false")
			if err := w.MergeAttrs(t.Context(), id, map[string]string{"c": mega(600)}); !errors.Is(err, worker.ErrRefused) {
				t.Error("what only the gateway knows:", err)
			}
			both("3 1 false true false")

			// A change by another worker, of which the worker did not know when it made its own.
			does(func(ctx context.Context, c worker.Call) {
				c.MergeAttrs(map[string]string{"c": mega(400)})
				if err := w.MergeAttrs(ctx, id, map[string]string{"a": mega(400)}); err != nil {
					t.Error(err)
				}
			}, "done")
			await(t, func() bool {
				row := one(t, w, worker.Everyone(), worker.FieldAttrs)
				same := false
				does(func(_ context.Context, c worker.Call) {
					same = c.Version() == row.Version && maps.Equal(maps.Collect(c.Attrs()), row.Attrs)
				}, "done")
				return same && row.Attrs["a"] != "" && row.Attrs["c"] == ""
			})
		})
	}
}
