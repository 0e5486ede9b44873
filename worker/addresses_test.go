package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

// listed is a Resolver whose list a test sets.
type listed struct {
	lists chan []string
	lost  atomic.Int32
}

func newListed(addrs ...string) *listed {
	l := &listed{lists: make(chan []string, 1)}
	if len(addrs) > 0 {
		l.lists <- addrs
	}
	return l
}

func (l *listed) Watch(ctx context.Context, set func([]string)) {
	for {
		select {
		case addrs := <-l.lists:
			set(addrs)
		case <-ctx.Done():
			return
		}
	}
}

func (l *listed) LinkLost() { l.lost.Add(1) }

// runWith starts a worker that finds its gateways by l, at names of n. It ends with the test.
func (n *names) runWith(t *testing.T, l *listed, h worker.Handler, fixed ...string) *worker.Worker {
	t.Helper()
	cfg := worker.Config{Gateways: fixed, Discover: l, Dial: n.dial, Logger: slog.New(slog.NewTextHandler(n, nil))}
	w, err := worker.New(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// nowhere is where gateways look for each other: their names are those of the worker's test only.
const nowhere = "127.0.0.1:1"

// at starts a gateway and lets a name lead to it.
func (n *names) at(t *testing.T, name string, id uint32) (g *gateway.Gateway, stop func()) {
	t.Helper()
	g, stop = serveUntil(t, gateway.Config{
		ID: id, Loops: 2, Logger: slog.New(slog.DiscardHandler), Advertise: nowhere,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
	})
	n.lead(name, g.WorkerAddr())
	return g, stop
}

// answered fails the test unless a gateway's client gets an answer of a worker.
func answered(t *testing.T, g *gateway.Gateway) {
	t.Helper()
	c := dial(t, g)
	c.say("x")
	c.receives("ok")
}

// A gateway that is listed is used at once. One that is not listed any more keeps its links and its
// clients, and new ones, as long as it answers. When it has ended it is given up: nothing dials it,
// and no query misses it.
func TestGatewaysJoinAndLeave(t *testing.T) {
	t.Parallel()
	n := &names{to: map[string]string{}}
	g1, _ := n.at(t, "one:1", 1)
	g2, stop2 := n.at(t, "two:2", 2)
	l := newListed("one:1")
	w := n.runWith(t, l, across)
	<-w.Ready()
	answered(t, g1)
	if s := g2.Stats(); s.Workers != 0 {
		t.Errorf("%d workers serve a gateway that is not listed", s.Workers)
	}

	l.lists <- []string{"one:1", "two:2"}
	began := time.Now()
	answered(t, g2)
	t.Log("a client of the new gateway has its answer after", time.Since(began))

	old := dial(t, g2)
	old.say("x")
	old.receives("ok")
	l.lists <- []string{"one:1"}
	n.come(t, "the worker notices", func() bool { return n.logged("gateway is not listed any more") == 1 })
	old.say("x")
	old.receives("ok")
	answered(t, g2)
	if s := w.Stats(); s.Links != 4 || s.Gateways != 2 || s.GatewaysGivenUp != 0 || s.Reconnects != 0 {
		t.Errorf("a gateway is not listed, and answers: %+v", s)
	}

	stop2()
	n.lead("two:2", "")
	n.come(t, "it is given up", func() bool { return w.Stats().GatewaysGivenUp == 1 })
	if s := w.Stats(); s.Gateways != 1 || s.Links != 2 {
		t.Errorf("a gateway has ended: %+v", s)
	}
	if _, err := w.Count(t.Context(), worker.Everyone()); err != nil {
		t.Error("a gateway that was given up is missed:", err)
	}
	tried := n.logged("addr=two:2")
	answered(t, g1)
	if again := n.logged("addr=two:2"); again != tried {
		t.Error("a gateway that was given up is dialled")
	}
	if l.lost.Load() == 0 {
		t.Error("the resolver is not told of the lost links")
	}
}

// A gateway that crashes is dialled while it is listed, and given up when it is not. It is used
// again when it is listed again, with another id and at the same address.
func TestGatewayCrashesAndReturns(t *testing.T) {
	t.Parallel()
	n := &names{to: map[string]string{}}
	g1, _ := n.at(t, "one:1", 1)
	_, stop2 := n.at(t, "two:2", 2)
	l := newListed("one:1", "two:2")
	w := n.runWith(t, l, across)
	<-w.Ready()
	stop2()
	n.lead("two:2", "")
	n.come(t, "it is dialled again", func() bool { return n.logged("link to the gateway failed") > 0 })
	if _, err := w.Count(t.Context(), worker.Everyone()); err == nil {
		t.Error("a listed gateway that is down is not missed")
	}
	l.lists <- []string{"one:1"}
	n.come(t, "it is given up", func() bool { return w.Stats().GatewaysGivenUp == 1 })
	g2, _ := n.at(t, "two:2", 3)
	l.lists <- []string{"one:1", "two:2"}
	answered(t, g2)
	answered(t, g1)
	n.come(t, "all links are up", func() bool { return w.Stats().Links == 4 })
	if s := w.Stats(); s.Gateways != 2 {
		t.Errorf("%+v", s)
	}
}

// A list that changes all the time, and is often empty, costs no link and no message.
func TestFlappingLists(t *testing.T) {
	t.Parallel()
	n := &names{to: map[string]string{}}
	var all []string
	var gs []*gateway.Gateway
	for i := range 3 {
		all = append(all, fmt.Sprintf("name%d:1", i))
		g, _ := n.at(t, all[i], uint32(i+1))
		gs = append(gs, g)
	}
	l := newListed(all...)
	w := n.runWith(t, l, across)
	<-w.Ready()
	stop := make(chan struct{})
	var flapping sync.WaitGroup
	flapping.Go(func() {
		for {
			some := slices.DeleteFunc(slices.Clone(all), func(string) bool { return rand.N(3) == 0 })
			rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			select {
			case l.lists <- some:
			case <-stop:
				return
			}
		}
	})
	var clients []*line
	for _, g := range gs {
		clients = append(clients, dial(t, g))
	}
	for begun := time.Now(); time.Since(begun) < time.Second; {
		for _, c := range clients {
			c.say("x")
			c.receives("ok")
		}
	}
	close(stop)
	flapping.Wait()
	if s := w.Stats(); s.Reconnects != 0 || s.GatewaysGivenUp != 0 || s.Links != 6 {
		t.Errorf("%+v", s)
	}
}

// An empty list is no news: also gateways that are down stay.
func TestEmptyListKeepsGateways(t *testing.T) {
	t.Parallel()
	n := &names{to: map[string]string{}}
	_, stop1 := n.at(t, "one:1", 1)
	l := newListed("one:1")
	w := n.runWith(t, l, across)
	<-w.Ready()
	l.lists <- nil
	stop1()
	n.lead("one:1", "")
	l.lists <- []string{}
	n.come(t, "it is dialled again", func() bool { return n.logged("link to the gateway failed") > 0 })
	g1, _ := n.at(t, "one:1", 4)
	answered(t, g1)
	if s := w.Stats(); s.GatewaysGivenUp != 0 || n.logged("not listed any more") > 0 {
		t.Errorf("%+v", s)
	}
}

// A worker waits for the first list before it is ready, but not for ever.
func TestReadyAwaitsTheList(t *testing.T) {
	t.Parallel()
	n := &names{to: map[string]string{}}
	n.at(t, "one:1", 1)
	g2, _ := n.at(t, "two:2", 2)
	l, began := newListed(), time.Now()
	w := n.runWith(t, l, across, "one:1")
	n.come(t, "the link", func() bool { return w.Stats().Links == 2 })
	select {
	case <-w.Ready():
		if time.Since(began) < 2*time.Second { // it waits for three
			t.Error("ready before the other gateways are known")
		}
	default:
	}
	l.lists <- []string{"two:2", "one:1"}
	<-w.Ready()
	n.come(t, "all links", func() bool { s := w.Stats(); return s.Links == 4 && s.Gateways == 2 })
	answered(t, g2)

	silent := n.runWith(t, newListed(), across, "one:1")
	<-silent.Ready()
	n.come(t, "it is logged", func() bool { return n.logged("gateways are not known yet") == 1 })
}

// A gateway that is listed and has never answered does not hold up a worker, nor its readiness.
func TestListedGatewayThatIsDown(t *testing.T) {
	t.Parallel()
	n := &names{to: map[string]string{}}
	g1, _ := n.at(t, "one:1", 1)
	l := newListed("down:1", "one:1", "no address")
	w := n.runWith(t, l, across)
	<-w.Ready()
	answered(t, g1)
	if n.logged("missing=") != 1 {
		t.Error("the log does not say which is missing")
	}
}

// Two listed addresses may lead to one gateway. One of them stands by, and is given up when it is
// not listed any more, which costs no link.
func TestListedTwice(t *testing.T) {
	t.Parallel()
	n := &names{to: map[string]string{}}
	g, _ := n.at(t, "one:1", 1)
	n.lead("alias:1", g.WorkerAddr())
	l := newListed("one:1")
	w := n.runWith(t, l, across)
	<-w.Ready()
	l.lists <- []string{"alias:1", "one:1"}
	n.come(t, "it stands by", func() bool { return n.logged("two addresses lead to the same gateway") == 1 })
	l.lists <- []string{"one:1"}
	n.come(t, "it is given up", func() bool { return w.Stats().GatewaysGivenUp == 1 })
	answered(t, g)
	if s := w.Stats(); s.Links != 2 || s.Reconnects != 0 || s.Gateways != 1 {
		t.Errorf("%+v", s)
	}
	if n, err := w.Count(t.Context(), worker.Everyone()); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// Invoke calls the first gateway of the list, also when others join or the first is missing from
// the list for a moment.
func TestInvokeStaysWithItsGateway(t *testing.T) {
	t.Parallel()
	n := &names{to: map[string]string{}}
	for i, name := range []string{"one:1", "two:2", "three:3"} {
		g := serve(t, gateway.Config{
			ID: uint32(i + 1), Logger: slog.New(slog.DiscardHandler),
			Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
			OnInvoke:  func(context.Context, []byte) ([]byte, error) { return []byte(name), nil },
		})
		n.lead(name, g.WorkerAddr())
	}
	l := newListed("two:2", "one:1")
	w := n.runWith(t, l, worker.Handler{})
	<-w.Ready()
	calls := func(want string) {
		t.Helper()
		got, err := w.Invoke(t.Context(), nil)
		if err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	calls("two:2")
	for missing, list := range [][]string{{"two:2", "one:1", "three:3"}, {"one:1", "three:3"}, {"three:3"}} {
		l.lists <- list
		n.come(t, "the list is applied",
			func() bool { return w.Stats().Gateways == 3 && n.logged("gateway is not listed any more") == missing })
		calls("two:2")
	}
}

// Many gateways join, and half of them leave.
func TestManyGateways(t *testing.T) {
	t.Parallel()
	const gateways = 40 // each dials all others
	n := &names{to: map[string]string{}}
	var all []string
	var stops []func()
	for i := range gateways {
		name := fmt.Sprintf("name%d:1", i)
		g, stop := serveUntil(t, gateway.Config{
			ID: uint32(i + 1), Loops: 1, Logger: slog.New(slog.DiscardHandler), Advertise: nowhere,
			Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		})
		n.lead(name, g.WorkerAddr())
		all, stops = append(all, name), append(stops, stop)
	}
	l := newListed(all[:10]...)
	w := n.runWith(t, l, across)
	<-w.Ready()
	l.lists <- all
	n.come(t, "all are linked", func() bool { return w.Stats().Links == gateways })
	const half = gateways / 2
	for i, stop := range stops[half:] {
		n.lead(all[half+i], "")
		go stop()
	}
	l.lists <- all[:half]
	n.come(t, "half are given up", func() bool { return w.Stats().GatewaysGivenUp == half })
	if s := w.Stats(); s.Links != half || s.Gateways != half {
		t.Errorf("%+v", s)
	}
	if _, err := w.Count(t.Context(), worker.Everyone()); err != nil {
		t.Error(err)
	}
}
