package worker_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// BenchmarkEcho is the worker's part of a message and its answer, with a batch of 16 clients, over
// a Unix socket. cpu-ns/op is of the whole process and includes the test's peer, which scans the
// acknowledgements and sends a prepared batch.
func BenchmarkEcho(b *testing.B) {
	const clients = 16
	_, round, stop := rounds(b, clients, worker.Handler{Message: echo})
	defer stop()
	var before, after runtime.MemStats
	var use0, use1 syscall.Rusage
	b.ResetTimer()
	runtime.ReadMemStats(&before)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use0)
	for n := 0; n < b.N; n += clients {
		round()
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use1)
	runtime.ReadMemStats(&after)
	b.StopTimer()
	cpu := use1.Utime.Nano() + use1.Stime.Nano() - use0.Utime.Nano() - use0.Stime.Nano()
	b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), "mallocs/op")
}

// A message that is handled in its batch, and its answer, cost no allocation. Not parallel: all
// allocations of the process are counted.
func TestEchoAllocates(t *testing.T) {
	group := "room"
	for name, f := range map[string]func(context.Context, worker.Call, worker.Message) error{
		"an answer": echo,
		"a publish": func(_ context.Context, c worker.Call, m worker.Message) error {
			c.Publish(worker.Group(group).Except(c.ID()), m)
			return nil
		},
		"what it knows": func(ctx context.Context, c worker.Call, m worker.Message) error {
			if _, ok := c.Attr("name"); ok || c.UID() != "" || c.Version() != 0 || c.Request() != nil {
				t.Error("it knows something")
			}
			c.Join(group)
			return ctx.Err()
		},
	} {
		w, round, stop := rounds(t, 16, worker.Handler{Message: f})
		round()
		// If the scheduler does not run the handler for so long that it seems to block, messages
		// are copied for other goroutines.
		for end := time.Now().Add(time.Minute); ; {
			before := w.Stats()
			n := testing.AllocsPerRun(500, round) // of 16 messages; the average is rounded down
			after := w.Stats()
			batched := after.LeaderHandoffs == before.LeaderHandoffs && after.Offloaded == before.Offloaded
			if n == 0 || batched || time.Now().After(end) {
				if n > 0 {
					t.Errorf("%s: %v allocations in a batch of 16 messages", name, n)
				}
				break
			}
		}
		stop()
	}
}

func echo(_ context.Context, c worker.Call, m worker.Message) error {
	c.Send(m)
	return nil
}

// rounds starts a worker. round sends it a message of each client and waits until all are
// acknowledged.
func rounds(tb testing.TB, clients int, h worker.Handler) (w *worker.Worker, round, stop func()) {
	w, conn, stop := benchLink(tb, h)
	var batch []byte
	for i := range clients {
		batch = link.Append(batch, attachFrame(0, uint32(i)))
	}
	in := make([]byte, 0, 64<<10)
	last := uint32(0)
	exchange(tb, conn, batch, &in, clients)
	payload := make([]byte, 64)
	return w, func() {
		batch = batch[:0]
		last++
		for i := range clients {
			batch = link.Append(batch, &link.Frame{Type: link.Message, ID: last, Slot: uint32(i), Token: 7, Payload: payload})
		}
		exchange(tb, conn, batch, &in, clients)
	}, stop
}

// exchange writes a batch and reads until as many clients have acknowledged its events.
func exchange(b testing.TB, conn net.Conn, batch []byte, in *[]byte, clients int) {
	if _, err := conn.Write(batch); err != nil {
		b.Fatal(err)
	}
	for {
		var f link.Frame
		n, err := link.Next(*in, link.MaxFrame, &f)
		if err != nil {
			b.Fatal(err)
		}
		if n > 0 {
			*in = (*in)[:copy(*in, (*in)[n:])]
			if f.Type == link.Unit || f.Type == link.Send && f.Has(link.FlagHandled) {
				clients--
			}
			if clients == 0 {
				return
			}
			continue
		}
		have := len(*in)
		got, err := conn.Read((*in)[have:cap(*in)])
		if err != nil {
			b.Fatal(err)
		}
		*in = (*in)[:have+got]
	}
}

func benchLink(b testing.TB, h worker.Handler) (*worker.Worker, net.Conn, func()) {
	ln, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	w, err := worker.New(worker.Config{
		Gateways: []string{"peer"}, Logger: slog.New(slog.DiscardHandler), DrainTimeout: time.Millisecond,
		Dial: func(context.Context, string) (net.Conn, error) { return net.Dial("unix", ln.Addr().String()) },
	}, h)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx)
	}()
	conn, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := link.Accept(conn, nil, func(link.WorkerHello) (link.GatewayHello, error) {
		return link.GatewayHello{ID: 1, Epoch: 1, Loops: 1, MaxFrame: link.MaxFrame}, nil
	}); err != nil {
		b.Fatal(err)
	}
	return w, conn, func() {
		cancel()
		_ = conn.Close()
		_ = ln.Close()
		<-done
	}
}
