package gateway_test

import (
	"fmt"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// adopts waits until the worker has been given so many clients, for the reason. It acknowledges
// nothing.
func (w *fakeWorker) adopts(clients int, why link.Cause) {
	w.t.Helper()
	for range clients {
		_, f := w.take("a client", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
		r := link.Read(f.Payload)
		if a := r.Attachment(); a.Cause != why || f.Has(link.FlagNew) {
			w.t.Errorf("a client comes because: %v, with flags %#x; want %v", a.Cause, f.Flags, why)
		}
	}
}

// Clients that never send anything are given to another worker when theirs ends or drains, with the
// reason: also if there is no worker for a while, and if the next worker ends before it has them.
func TestSilentClientsAreAdopted(t *testing.T) {
	t.Parallel()
	const clients = 30
	cfg := text(gateway.ListenerConfig{})
	g, _ := start(t, cfg)
	hello := oneWorker
	dialNext := func() *fakeWorker {
		hello.ID[15]++
		return dialWorker(t, g.WorkerAddr(), nil, hello)
	}
	parked := func(n int) {
		t.Helper()
		wait(t, fmt.Sprint(n, " clients wait for a worker"), func() bool { return g.Stats().AdoptionsWaiting == n })
	}
	first := dialNext()
	for range clients {
		dialClient(t, g.Addrs()[0])
		first.letIn()
	}
	parked(0)
	first.die()
	parked(clients)

	dying := dialNext()
	dying.adopts(clients, link.CauseDied)
	parked(0)
	dying.die() // it has acknowledged nothing
	parked(clients)
	back := dialWorker(t, g.WorkerAddr(), nil, hello) // it has nothing of them in its memory
	back.adopts(clients, link.CauseDied)
	back.links[0].ack()
	back.barrier(1)
	back.die()
	parked(clients)
	back = dialWorker(t, g.WorkerAddr(), nil, hello)
	back.adopts(clients, link.CauseLinkLost)
	back.links[0].ack()
	back.barrier(2)

	next := dialNext()
	back.links[0].write(&link.Frame{Type: link.Drain})
	next.adopts(clients, link.CauseDrained)
	parked(0)
	if s := g.Stats(); s.ClientsMoved != clients || s.DeadLettered != 0 || s.Clients != clients {
		t.Errorf("%+v", s.LoopStats)
	}
}

// A parked client that sends something does not wait for its turn, and without a pace none has one.
func TestAMessageBringsAdoptionForward(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{})
	cfg.AdoptRate = -1
	g, _ := start(t, cfg)
	first := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	all := make([]*fakeClient, 3)
	for i := range all {
		all[i] = dialClient(t, g.Addrs()[0])
		first.letIn()
	}
	first.die()
	wait(t, "parked clients", func() bool { return g.Stats().AdoptionsWaiting == len(all) })
	hello := oneWorker
	hello.ID[15]++
	next := dialWorker(t, g.WorkerAddr(), nil, hello)
	all[1].say("hi")
	next.adopts(1, link.CauseDied)
	next.take("its message", func(_ int, f *link.Frame) bool { return f.Type == link.Message })
	next.barrier(1)
	if s, more := g.Stats(), next.pending(); s.AdoptionsWaiting != len(all)-1 || len(more) > 0 {
		t.Errorf("%d wait, the worker has %q", s.AdoptionsWaiting, more)
	}
}
