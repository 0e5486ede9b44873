package gateway_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// A client whose host disappears is closed after its heartbeats and flushTimeout. Its worker gets
// one DETACH.
func TestAClientThatVanishesIsNoticed(t *testing.T) {
	t.Parallel()
	network := proctest.NewNetwork(t)
	const heartbeat, misses = 500 * time.Millisecond, 2
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{
		{URL: "text://" + network.Here + ":0", Heartbeat: heartbeat, MaxMissedPings: misses, Ping: "ping"},
	}})
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	var vanishing []net.Conn
	for range 10 {
		conn, err := network.Dial(hostport(g.Addrs()[0]))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "here I am\n"); err != nil {
			t.Fatal(err)
		}
		vanishing = append(vanishing, conn)
	}
	for range vanishing {
		_, a := w.take("a client", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
		w.take("its message", func(_ int, f *link.Frame) bool { return f.Type == link.Message && f.Token == a.Token })
	}
	w.links[0].ack()
	network.Cut()
	cut := time.Now()
	gone := make(map[uint64]int)
	for range vanishing {
		_, f := w.take("a detachment", func(_ int, f *link.Frame) bool { return f.Type == link.Detach })
		if link.Reason(f.Code) != link.ReasonIdle {
			t.Errorf("the worker receives %v", link.Reason(f.Code))
		}
		gone[f.Token]++
	}
	took := time.Since(cut)
	w.links[0].ack()
	wait(t, "nobody left", func() bool { return g.Stats().Clients == 0 })
	w.barrier(1)
	if left := w.pending(); len(gone) != len(vanishing) || len(left) > 0 {
		t.Errorf("%d of %d have gone, and the worker has received %q too", len(gone), len(vanishing), left)
	}
	// Their last bytes, a ping each, have five seconds.
	if most := (misses+2)*heartbeat + 6*time.Second; took > most {
		t.Errorf("gone after %v, at most %v", took, most)
	}
	t.Logf("%d clients whose host vanished were gone after %v, with heartbeats of %v and %d misses", len(vanishing),
		took.Round(10*time.Millisecond), heartbeat, misses)
	network.Heal()
	for _, conn := range vanishing { // they notice it themselves
		_ = conn.SetDeadline(time.Now().Add(patience))
		if b, err := io.ReadAll(conn); !ended(err) && err != nil || len(b) > 3*len("ping\n")+len(closedFor("idle")+"\n") {
			t.Errorf("after the network has healed: %q, %v", b, err)
		}
	}
}

// Without a key, peers of other hosts are closed without an answer, even if they can reach the
// worker port.
func TestWithoutAKeyOtherHostsAreRefused(t *testing.T) {
	t.Parallel()
	network := proctest.NewNetwork(t)
	cfg := text(gateway.ListenerConfig{})
	cfg.WorkerAddr = "0.0.0.0:0"
	g, _ := start(t, cfg)
	_, port, err := net.SplitHostPort(g.WorkerAddr())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := network.Dial(net.JoinHostPort(network.Here, port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := link.Connect(conn, nil, oneWorker); err == nil {
		t.Error("it was let in")
	}
	wait(t, "it counted", func() bool { return g.Stats().WorkerAuthFailures == 1 })
	dialWorker(t, net.JoinHostPort("127.0.0.1", port), nil, oneWorker)
	wait(t, "the worker of this host", func() bool { return g.Stats().Workers == 1 })
}
