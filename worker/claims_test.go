package worker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

// names are addresses that lead to gateways chosen by a test.
type names struct {
	mu  sync.Mutex
	to  map[string]string // guarded by mu: no entry: nobody answers
	log bytes.Buffer      // guarded by mu: the worker's
}

func (n *names) lead(name, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to[name] = to
}

func (n *names) dial(ctx context.Context, name string) (net.Conn, error) {
	n.mu.Lock()
	to := n.to[name]
	n.mu.Unlock()
	if to == "" {
		return nil, errors.New("nobody answers")
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to)
}

// Write implements io.Writer.
func (n *names) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

// logged returns how often the worker's log contains a text.
func (n *names) logged(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.log.String(), text)
}

// runAt starts a worker with gateways at these names. It ends with the test.
func (n *names) runAt(t *testing.T, h worker.Handler, at ...string) *worker.Worker {
	t.Helper()
	w, err := worker.New(worker.Config{Gateways: at, Dial: n.dial, Logger: slog.New(slog.NewTextHandler(n, nil))}, h)
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

// come waits for a condition that takes some seconds to become true.
func (n *names) come(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.mu.Lock()
			defer n.mu.Unlock()
			t.Fatalf("it did not come to pass: %s\n%s", what, &n.log)
		}
	}
}

// One gateway under three names has one set of links, which nothing replaces. The worker logs it,
// and the whole gateway is linked. When the name that holds the links leads nowhere any more,
// another one gets them.
func TestOneGatewayUnderManyNames(t *testing.T) {
	t.Parallel()
	g, stop := realGateway(t, 1, "127.0.0.1:0", nil)
	n := &names{to: map[string]string{"one:1": g.WorkerAddr(), "two:2": g.WorkerAddr(), "three:3": g.WorkerAddr()}}
	w := n.runAt(t, across, "one:1", "two:2", "three:3")
	<-w.Ready()
	n.come(t, "each name but one stands by",
		func() bool { return n.logged("two addresses lead to the same gateway") == 2 })
	c := dial(t, g)
	for range 20 {
		c.say("x")
		c.receives("ok")
	}
	if count, err := w.Count(t.Context(), worker.Everyone()); count != 1 || err != nil {
		t.Errorf("Count: %d, %v", count, err)
	}
	s, of := w.Stats(), g.Stats()
	if s.Links != 2 || s.Reconnects != 0 || of.UnackedAtLinkLoss != 0 || n.logged("link open") != 2 {
		t.Errorf("%d links, %d redials, %d frames unacknowledged", s.Links, s.Reconnects, of.UnackedAtLinkLoss)
	}

	all := []string{"one:1", "two:2", "three:3"}
	kept := ""
	for _, name := range all {
		if n.logged("addr="+name) > 0 {
			kept = name
		}
	}
	stop()
	n.lead(kept, "")
	g, _ = realGateway(t, 1, "127.0.0.1:0", nil)
	for _, name := range all {
		if name != kept {
			n.lead(name, g.WorkerAddr())
		}
	}
	n.come(t, "another name has the links", func() bool { return w.Stats().Links == 2 })
	c = dial(t, g)
	c.say("x")
	c.receives("ok")
}

// A name that begins to lead to a gateway whose links another name holds does not replace them.
func TestANameMovesToAnotherGateway(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, stop2 := realGateway(t, 2, "127.0.0.1:0", nil)
	n := &names{to: map[string]string{"one:1": g1.WorkerAddr(), "two:2": g2.WorkerAddr()}}
	w := n.runAt(t, across, "one:1", "two:2")
	<-w.Ready()
	n.lead("two:2", g1.WorkerAddr())
	stop2()
	n.come(t, "it stands by", func() bool { return n.logged("two addresses lead to the same gateway") == 1 })
	if s := w.Stats(); s.Links != 2 || g1.Stats().UnackedAtLinkLoss != 0 || n.logged("link open") != 4 {
		t.Errorf("%d links, %d links were opened", s.Links, n.logged("link open"))
	}
	if _, err := w.Count(t.Context(), worker.Everyone()); err != nil { // the gateway that was there is not missed
		t.Error(err)
	}
}

// Of two gateways with the same id one is used, without interruption, and the log has an error with
// both names. The worker becomes ready all the same.
func TestTwoGatewaysWithOneID(t *testing.T) {
	t.Parallel()
	var gs []*gateway.Gateway
	n := &names{to: map[string]string{}}
	for _, name := range []string{"one:1", "two:2"} {
		g, _ := realGateway(t, 7, "127.0.0.1:0", nil)
		n.to[name], gs = g.WorkerAddr(), append(gs, g)
	}
	w := n.runAt(t, across, "one:1", "two:2")
	<-w.Ready()
	n.come(t, "the error is told", func() bool { return n.logged("level=ERROR msg=\"two gateways have the same id") > 0 })
	if n.logged("ready without some gateways") != 1 {
		t.Error("which gateway is missing is not told")
	}
	served, not := gs[0], gs[1]
	if not.Stats().Workers > 0 {
		served, not = not, served
	}
	c := dial(t, served)
	for range 20 {
		c.say("x")
		c.receives("ok")
	}
	if s := w.Stats(); s.Links != 2 || s.Reconnects != 0 || served.Stats().Workers != 1 || not.Stats().Workers != 0 {
		t.Errorf("%d links, %d redials, %d and %d\n%s",
			s.Links, s.Reconnects, served.Stats().Workers, not.Stats().Workers, &n.log)
	}
}

// A worker becomes ready without a gateway that is down, logs which one is missing, and uses it
// when it comes up.
func TestReadyWithoutAGatewayThatIsDown(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	n := &names{to: map[string]string{"one:1": g1.WorkerAddr()}}
	w := n.runAt(t, across, "one:1", "two:2")
	<-w.Ready()
	if n.logged("ready without some gateways") != 1 || n.logged("missing=[two:2]") != 1 {
		t.Errorf("the log does not say what is missing:\n%s", &n.log)
	}
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	n.lead("two:2", g2.WorkerAddr())
	c := dial(t, g2)
	c.say("x")
	c.receives("ok")
}
