package bench_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

// A message up to a worker and its answer down, through a whole gateway and a whole worker,
// allocate nothing. What is counted belongs to turns of loops, which many messages share. Not
// parallel: all allocations of the process are counted.
func TestTheWholePathAllocatesNothing(t *testing.T) {
	const batch, rounds = 256, 100
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	g, err := gateway.New(gateway.Config{
		Loops: 1, Logger: log, Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var both errgroup.Group
	both.Go(func() error { return g.Run(ctx) })
	<-g.Ready()
	w, err := worker.New(worker.Config{Gateways: []string{g.WorkerAddr()}, Logger: log},
		worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			c.Send(m)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	both.Go(func() error { return w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := both.Wait(); err != nil {
			t.Error(err)
		}
	})
	client, err := net.Dial("tcp", strings.TrimPrefix(g.Addrs()[0], "text://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	end := time.Now().Add(time.Minute)
	_ = client.SetDeadline(end.Add(time.Minute))
	said := bytes.Repeat([]byte("a message of some sixty bytes, as they are said in most chats.\n"), batch)
	received := make([]byte, len(said))
	run := func() {
		for range rounds {
			if _, err := client.Write(said); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(client, received); err != nil {
				t.Fatal(err)
			}
		}
	}
	run() // buffers find their size
	var before, after runtime.MemStats
	for quiet := false; !quiet; {
		pooled := w.Stats().Offloaded
		runtime.ReadMemStats(&before)
		run()
		runtime.ReadMemStats(&after)
		// If this is not so, a handler did not get a processor for so long that it seemed to block,
		// and messages were copied so that others could handle them.
		quiet = w.Stats().Offloaded == pooled
		if !quiet && time.Now().After(end) {
			t.Fatal("handlers seem to block all the time")
		}
	}
	if !bytes.Equal(said, received) {
		t.Error("not an echo")
	}
	if each := float64(after.Mallocs-before.Mallocs) / (batch * rounds); each >= 0.05 {
		t.Errorf("%.3f allocations a message", each)
	} else {
		t.Logf("%.4f allocations a message", each)
	}
}
