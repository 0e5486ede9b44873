package gateway_test

import (
	"fmt"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// After a worker has connected, or when an operator asks for it, clients move to it until each
// worker has its share. A client whose handler runs moves when that has returned, and its messages
// follow it in order.
func TestRebalance(t *testing.T) {
	t.Parallel()
	for name, asked := range map[string]bool{"a worker connects": false, "an operator asks": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRebalance(t, asked)
		})
	}
}

func testRebalance(t *testing.T, asked bool) {
	cfg := text(gateway.ListenerConfig{})
	cfg.Loops = 1
	if !asked {
		cfg.Rebalance = 100
	}
	g, _ := start(t, cfg)
	old := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	const clients = 8
	var all []*fakeClient
	for range clients {
		c := dialClient(t, g.Addrs()[0])
		old.letIn()
		all = append(all, c)
	}
	for i, c := range all {
		c.say(fmt.Sprint("first ", i))
		old.take("a message", func(_ int, f *link.Frame) bool { return f.Type == link.Message })
	}
	hello := oneWorker
	hello.ID[15]++
	young := dialWorker(t, g.WorkerAddr(), nil, hello)
	wait(t, "the walk", func() bool {
		young.barrier(1)
		return g.Stats().Workers == 2
	})
	if asked {
		if loops, err := g.Control().Rebalance(t.Context(), 100); loops != 1 || err != nil {
			t.Errorf("%d loops, %v", loops, err)
		}
	}
	if moved := young.pending(); len(moved) > 0 {
		t.Errorf("%v moved while their handlers run", moved)
	}
	// All handlers run. When they return, half of the clients move.
	for i, c := range all {
		c.say(fmt.Sprint("second ", i))
	}
	moved := 0
	wait(t, "half of the clients", func() bool {
		old.links[0].ack()
		old.barrier(2)
		for {
			f, ok := old.links[0].takeOne(func(f *link.Frame) bool { return f.Type == link.Message || f.Type == link.Detach })
			if !ok {
				return moved == clients/2
			}
			if f.Type == link.Detach {
				if moved++; !f.Has(link.FlagMoved) {
					t.Error("a client is gone")
				}
			}
		}
	})
	for range moved {
		_, f := young.take("a client", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
		r := link.Read(f.Payload)
		if a := r.Attachment(); a.Cause != link.CauseMoved || f.Has(link.FlagNew) || f.ID == 0 {
			t.Errorf("it comes because it is %v, with flags %#x and %d messages handled", a.Cause, f.Flags, f.ID)
		}
	}
	if n := g.Stats().ClientsMoved; n != uint64(moved) {
		t.Errorf("%d of %d are counted", n, moved)
	}
}
