package publisher_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/publisher"
)

// A publisher reaches the clients of all its gateways, in order, and counts them. It gets none of
// them, and is no worker of the gateways.
func TestPublishes(t *testing.T) {
	t.Parallel()
	one, _ := serve(t, gateway.Config{ID: 1})
	two, _ := serve(t, gateway.Config{ID: 2})
	gateways := []string{one.WorkerAddr(), two.WorkerAddr()}
	p := connect(t, publisher.Config{Gateways: gateways})
	wait(t, "the links", func() bool { return one.Stats().PublisherLinks == 2 && two.Stats().PublisherLinks == 2 })
	if one.Readiness() == nil || one.Stats().Workers != 0 {
		t.Errorf("a publisher counts as a worker: %v, %d", one.Readiness(), one.Stats().Workers)
	}
	work(t, worker.Config{Gateways: gateways})
	var clients []*client
	for i := range 20 {
		g := []*gateway.Gateway{one, two}[i%2]
		clients = append(clients, dial(t, g, "join room", fmt.Sprint("uid ", i)))
	}
	ctx := t.Context()
	for i := range 100 {
		if err := p.Publish(ctx, worker.Group("room"), worker.Text(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range clients {
		for i := range 100 {
			c.expect(fmt.Sprint(i))
		}
	}
	if n, err := p.Count(ctx, worker.Everyone()); n != len(clients) || err != nil {
		t.Errorf("%d clients, %v", n, err)
	}
	if n, err := p.Counts(ctx, []worker.Target{worker.Group("room"), worker.UID("7"), worker.UID("x")}); err != nil ||
		!slices.Equal(n, []int{20, 1, 0}) {
		t.Errorf("%d, %v", n, err)
	}
	if s := p.Stats(); s.Clients != 0 || s.Links != 4 || s.Gateways != 2 {
		t.Errorf("%+v", s)
	}
	for _, g := range []*gateway.Gateway{one, two} {
		if workers, err := g.Control().Workers(ctx); err != nil || len(workers) != 1 || workers[0].Clients != 10 {
			t.Errorf("%+v, %v", workers, err)
		}
	}
}

// A publisher does to a client what a worker does.
func TestCommands(t *testing.T) {
	t.Parallel()
	g, _ := serve(t, gateway.Config{OnInvoke: func(_ context.Context, payload []byte) ([]byte, error) {
		return append(payload, '!'), nil
	}})
	p := connect(t, publisher.Config{Gateways: []string{g.WorkerAddr()}})
	work(t, worker.Config{Gateways: []string{g.WorkerAddr()}})
	ctx := t.Context()
	ada := dial(t, g, "uid first")
	dial(t, g, "uid second")
	var ids []worker.ClientID
	for _, uid := range []string{"first", "second"} {
		for info, err := range p.Select(ctx, worker.UID(uid), 0) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, info.ID)
		}
	}
	if len(ids) != 2 {
		t.Fatalf("%d clients", len(ids))
	}
	id := ids[0]
	if d, err := p.Deliver(ctx, id, worker.Text("who")); d != worker.Delivered || err != nil {
		t.Fatal(d, err)
	}
	ada.expect("who")
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	check("join", p.Join(ctx, worker.Client(id), "room"), nil)
	check("join", p.Join(ctx, worker.Everyone(), "hall"), nil)
	check("leave", p.Leave(ctx, worker.Client(ids[1]), "hall"), nil)
	check("bind", p.Bind(ctx, id, "ada"), nil)
	check("bind", p.BindExclusive(ctx, ids[1], "bob"), nil)
	check("set", p.SetAttrs(ctx, id, map[string]string{"a": "1", "b": "2"}), nil)
	check("merge", p.MergeAttrs(ctx, id, map[string]string{"a": "3", "b": ""}), nil)
	check("compare", p.CompareAndSet(ctx, id, 12345, nil), worker.ErrConflict)
	ada.say("attr a") // the client's worker knows the attributes that the publisher has set
	ada.expect("3")
	for info, err := range p.Select(ctx, worker.UID("ada"), worker.FieldUID|worker.FieldGroups|worker.FieldAttrs) {
		slices.Sort(info.Groups)
		if err != nil || info.UID != "ada" || !slices.Equal(info.Groups, []string{"hall", "room"}) || len(info.Attrs) != 1 {
			t.Errorf("%+v, %v", info, err)
		}
		check("compare", p.CompareAndSet(ctx, id, info.Version, map[string]string{"c": "4"}), nil)
	}
	names := func(all []string, err error) string { return fmt.Sprint(all, err) }
	collect := func(of func(yield func(string, error) bool)) (all []string, err error) {
		for name, e := range of {
			if e != nil {
				return all, e
			}
			all = append(all, name)
		}
		slices.Sort(all)
		return all, nil
	}
	if got := names(collect(p.UIDs(ctx, worker.Everyone()))); got != "[ada bob] <nil>" {
		t.Error(got)
	}
	if got := names(collect(p.Groups(ctx, worker.Everyone()))); got != "[hall room] <nil>" {
		t.Error(got)
	}
	check("delete", p.DeleteGroup(ctx, "room"), nil)
	wait(t, "the end of the group", func() bool {
		n, err := p.Count(ctx, worker.Group("room"))
		return n == 0 && err == nil
	})
	check("unbind", p.Unbind(ctx, id), nil)
	if answer, err := p.Invoke(ctx, []byte("hi")); string(answer) != "hi!" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	check("close", p.CloseWith(ctx, worker.Client(id), worker.Text("bye")), nil)
	ada.expect("bye")
	check("close", p.Close(ctx, worker.UID("bob")), nil)
	check("join", p.Join(ctx, worker.Client(id), "room"), worker.ErrGone)
	check("close", p.CloseNow(ctx, worker.Client(ids[1])), worker.ErrGone)
	check("publish", p.Publish(ctx, worker.Target{}, worker.Text("x")), worker.ErrInvalid)
	check("join", p.Join(ctx, worker.Everyone(), ""), worker.ErrEmpty)
	check("publish", p.Publish(ctx, worker.Group(strings.Repeat("g", 1025)), worker.Text("x")), worker.ErrTooBig)
}

// A publisher comes back to a gateway that restarts, also with several gateways. Meanwhile it
// reaches the others, and an error says when there is none.
func TestGatewayComesBack(t *testing.T) {
	t.Parallel()
	one, stop := serve(t, gateway.Config{ID: 1})
	inner := one.WorkerAddr()
	two, _ := serve(t, gateway.Config{ID: 2})
	work(t, worker.Config{Gateways: []string{inner, two.WorkerAddr()}})
	alone := connect(t, publisher.Config{Gateways: []string{inner}})
	both := connect(t, publisher.Config{Gateways: []string{inner, two.WorkerAddr()}})
	ada := dial(t, two, "join room")
	ctx := t.Context()
	stop()
	wait(t, "the end of the links", func() bool { return alone.Stats().Links == 0 && both.Stats().Links == 2 })
	if err := alone.Publish(ctx, worker.Group("room"), worker.Text("lost")); !errors.Is(err, worker.ErrLinkDown) {
		t.Errorf("no gateway is there: %v", err)
	}
	if err := both.Publish(ctx, worker.Group("room"), worker.Text("half")); err != nil {
		t.Error(err)
	}
	ada.expect("half")
	if n, err := both.Count(ctx, worker.Everyone()); n != 1 || !errors.Is(err, worker.ErrPartial) {
		t.Errorf("%d, %v", n, err)
	}
	again, _ := serve(t, gateway.Config{ID: 1, WorkerAddr: inner})
	bob := dial(t, again, "join room")
	for _, p := range []*publisher.Publisher{alone, both} {
		wait(t, "the links", func() bool { return p.Stats().Links == 2*p.Stats().Gateways })
		if err := p.Publish(ctx, worker.Group("room"), worker.Text("back")); err != nil {
			t.Error(err)
		}
		bob.expect("back")
	}
	ada.expect("back")
	if s := alone.Stats(); s.Reconnects == 0 || s.CommandsDropped == 0 {
		t.Errorf("%+v", s)
	}
}

// With connects, calls the function and ends. What the function has sent is written.
func TestWith(t *testing.T) {
	t.Parallel()
	g, _ := serve(t, gateway.Config{})
	work(t, worker.Config{Gateways: []string{g.WorkerAddr()}})
	ada := dial(t, g, "uid ada")
	cfg := publisher.Config{Gateways: []string{g.WorkerAddr()}, Logger: silent}
	failed := errors.New("failed")
	for i := range 10 {
		err := publisher.With(t.Context(), cfg, func(ctx context.Context, p *publisher.Publisher) error {
			for j := range 100 {
				if err := p.Publish(ctx, worker.UID("ada"), worker.Text(fmt.Sprint(i, " ", j))); err != nil {
					return err
				}
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		ada.expect(fmt.Sprint(i/100, " ", i%100))
	}
	wait(t, "the end of the links", func() bool { return g.Stats().PublisherLinks == 0 })
}

// Without a gateway, or with another key, With returns an error and does not call the function.
func TestWithoutGateway(t *testing.T) {
	t.Parallel()
	key := []byte("a key that all sides share")
	g, _ := serve(t, gateway.Config{Key: key})
	never := func(context.Context, *publisher.Publisher) error { return errors.New("called") }
	cfg := publisher.Config{Gateways: []string{g.WorkerAddr()}, ConnectTimeout: 100 * time.Millisecond, Logger: silent}
	for _, other := range [][]byte{nil, []byte("another key than theirs")} {
		cfg.Key = other
		if err := publisher.With(t.Context(), cfg, never); !errors.Is(err, worker.ErrLinkDown) {
			t.Errorf("with key %q: %v", other, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg.ConnectTimeout = patience
	if err := publisher.With(ctx, cfg, never); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	cfg.Key = key
	err := publisher.With(t.Context(), cfg, func(context.Context, *publisher.Publisher) error { return nil })
	if err != nil {
		t.Error(err)
	}
}

// Links of publishers may have TLS. A gateway whose certificate is not trusted gets nothing.
func TestTLS(t *testing.T) {
	t.Parallel()
	authority, key := certstest.New(t), []byte("a key that all sides share")
	server := &tls.Config{Certificates: []tls.Certificate{authority.Pair(t, "127.0.0.1")}}
	trusting := &tls.Config{RootCAs: authority.Pool()}
	g, _ := serve(t, gateway.Config{Key: key, LinkTLS: &gateway.LinkTLS{Server: server, Client: trusting}})
	cfg := publisher.Config{Gateways: []string{g.WorkerAddr()}, Key: key, TLS: trusting, Logger: silent}
	err := publisher.With(t.Context(), cfg, func(ctx context.Context, p *publisher.Publisher) error {
		_, err := p.Count(ctx, worker.Everyone())
		return err
	})
	if err != nil {
		t.Error(err)
	}
	cfg.TLS, cfg.ConnectTimeout = &tls.Config{RootCAs: certstest.New(t).Pool()}, 300*time.Millisecond
	err = publisher.With(t.Context(), cfg, func(context.Context, *publisher.Publisher) error { return nil })
	if !errors.Is(err, worker.ErrLinkDown) {
		t.Error(err)
	}
}

// New refuses what must not run, and names the field.
func TestConfig(t *testing.T) {
	t.Parallel()
	good := []string{"127.0.0.1:1"}
	for field, cfg := range map[string]publisher.Config{
		"Gateways": {}, "Key": {Gateways: good, Key: []byte("short")},
		"Name":         {Gateways: good, Name: strings.Repeat("n", 201)},
		"QueryTimeout": {Gateways: good, QueryTimeout: -1}, "ConnectTimeout": {Gateways: good, ConnectTimeout: -1},
	} {
		_, err := publisher.New(cfg)
		e, ok := errors.AsType[*publisher.ConfigError](err)
		if !ok || e.Field != field || !strings.HasPrefix(err.Error(), "publisher: Config."+field+": ") || e.Unwrap() == nil {
			t.Errorf("%s: %v", field, err)
		}
		err = publisher.With(t.Context(), cfg, nil)
		if _, ok := errors.AsType[*publisher.ConfigError](err); !ok {
			t.Errorf("With: %s: %v", field, err)
		}
	}
}
