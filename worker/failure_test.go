package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// A call that panics is undone in the worker's copy of the client as well.
func TestPanicTakesBack(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, onMessage(func(c worker.Call, m worker.Message) {
		switch string(m.Data) {
		case "set":
			c.Bind("u")
			c.MergeAttrs(map[string]string{"k": "v"})
		case "panic":
			c.Unbind()
			c.Bind("ghost")
			c.SetAttrs(map[string]string{"k": "ghost"})
			panic("on purpose")
		}
		v, _ := c.Attr("k")
		c.Send(worker.Text(c.UID() + "/" + v))
	}))
	c := g.Dial(workertest.Request{})
	c.Send("set")
	c.Expect("u/v")
	c.Send("panic")
	c.Send("what")
	c.Expect("u/v")
}

// attachFrame gives the worker a client with token 7.
func attachFrame(handled, slot uint32) *link.Frame {
	return &link.Frame{
		Type: link.Attach, ID: handled, Slot: slot, Token: 7,
		Payload: link.AppendAttachment(nil, &link.Attachment{Cause: link.CauseDied, Remote: "r", Listener: "l"}),
	}
}

// rawPeer is a gateway of one loop, played by the test. It gives each connection to the test after
// the hello.
func rawPeer(t *testing.T, heartbeat time.Duration, h worker.Handler) (conns chan net.Conn, w *worker.Worker) {
	t.Helper()
	conns = make(chan net.Conn, 64)
	w, err := worker.New(worker.Config{
		Gateways: []string{"peer"}, DrainTimeout: 500 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Dial: pipeDial(conns, heartbeat),
	}, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run goes on, long after DrainTimeout")
		}
	})
	return conns, w
}

// Effects of a handler through the Worker come before those of its call, and stay when the call
// fails.
func TestTheWorkerOvertakesTheCall(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.Handler{Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
		c.SetAttrs(map[string]string{"k": "unit"})
		c.Send(worker.Text("second"))
		if d, err := c.Worker().Deliver(ctx, c.ID(), worker.Text("first")); d != worker.Delivered || err != nil {
			t.Errorf("Deliver: %v, %v", d, err)
		}
		err := c.Worker().CompareAndSet(ctx, c.ID(), c.Version(), map[string]string{"k": "at once"})
		if !errors.Is(err, worker.ErrConflict) {
			t.Errorf("CompareAndSet after a SetAttrs of the same call: %v", err)
		}
		if string(m.Data) == "panic" {
			panic("on purpose")
		}
		return nil
	}})
	c := g.Dial(workertest.Request{})
	c.Send("panic")
	c.Expect("first")
	c.Send("x")
	c.Expect("first")
	c.Expect("second")
}

// pipeDial dials a gateway of one loop, played by the test, which gets each connection after the
// hello.
func pipeDial(conns chan net.Conn, heartbeat time.Duration) func(context.Context, string) (net.Conn, error) {
	return func(context.Context, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			_, err := link.Accept(far, nil, func(link.WorkerHello) (link.GatewayHello, error) {
				return link.GatewayHello{ID: 1, Epoch: 1, Loops: 1, MaxFrame: link.MaxFrame, Heartbeat: heartbeat}, nil
			})
			if err != nil {
				_ = far.Close()
				return
			}
			conns <- far
		}()
		return near, nil
	}
}

// flood sends more than a link may buffer, from a goroutine of its own.
func flood(ctx context.Context, w *worker.Worker) {
	for range 12 {
		if w.Publish(ctx, worker.Everyone(), worker.Bytes(make([]byte, 1<<20))) != nil {
			return
		}
	}
}

// A link to a gateway that hangs ends after two heartbeats, also when so much output waits for it
// that senders block.
func TestStuckGatewayIsCut(t *testing.T) {
	t.Parallel()
	conns, w := rawPeer(t, time.Second, worker.Handler{})
	<-conns
	<-w.Ready()
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() { flood(t.Context(), w) })
	await(t, func() bool { return w.Stats().Reconnects > 0 })
}

// A link to a slow gateway does not end. While the effects of handlers wait to be written, the link
// is not read, and what the gateway accepts is its sign of life.
func TestSlowGatewayIsNotCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns, w := rawPeer(t, time.Second, onMessage(func(c worker.Call, m worker.Message) {
			for range 4 {
				c.Send(m)
			}
		}))
		conn := <-conns
		<-w.Ready()
		const messages, size = 8, 1_000_000
		var saying sync.WaitGroup
		defer saying.Wait()
		defer conn.Close()
		saying.Go(func() {
			b := link.Append(nil, attachFrame(0, 1))
			for i := range messages {
				b = link.Append(b,
					&link.Frame{Type: link.Message, ID: uint32(1 + i), Slot: 1, Token: 7, Payload: make([]byte, size)})
				if _, err := conn.Write(b); err != nil {
					t.Errorf("after %d messages: %v", i, err)
					return
				}
				b = b[:0]
			}
		})
		buf := make([]byte, 256<<10)
		for read := 0; read < 4*messages*size-len(buf); {
			time.Sleep(500 * time.Millisecond) // a minute in all
			n, err := io.ReadFull(conn, buf)
			if read += n; err != nil {
				t.Fatalf("after %d bytes: %v", read, err)
			}
		}
	})
}

// It does not delay the end of Run either.
func TestStuckGatewayAtDrain(t *testing.T) {
	t.Parallel()
	conns, w := rawPeer(t, 0, worker.Handler{})
	<-conns
	<-w.Ready()
	blocked := make(chan struct{})
	go func() {
		defer close(blocked)
		flood(context.Background(), w)
	}()
	select {
	case <-blocked:
		t.Error("12 MiB were taken for a gateway that reads nothing")
	case <-time.After(100 * time.Millisecond): // what is tested: it stays blocked
	}
}

// A worker that sends without a pause still reads its link: the leader does not have to write what
// other goroutines send meanwhile.
func TestALinkIsReadDuringAFlood(t *testing.T) {
	t.Parallel()
	conns, w := rawPeer(t, 0, worker.Handler{})
	conn := <-conns
	<-w.Ready()
	write := func(f *link.Frame) {
		_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Write(link.Append(nil, f)); err != nil {
			t.Errorf("%v is not taken: %v", f.Type, err)
		}
	}
	// The leader writes the acknowledgement until it is read.
	write(attachFrame(0, 1))
	var sent atomic.Int64
	var flooding sync.WaitGroup
	flooding.Go(func() {
		for w.Publish(t.Context(), worker.Everyone(), worker.Bytes(make([]byte, 32<<10))) == nil {
			sent.Add(32 << 10)
		}
	})
	defer flooding.Wait()
	defer conn.Close()
	await(t, func() bool { return sent.Load() >= 4<<20 }) // as much as may wait
	flooding.Go(func() { write(&link.Frame{Type: link.Ping, ID: 9}) })
	awaitPong(t, sipping{conn})
}

// sipping is a connection that accepts 16 MB a second at most.
type sipping struct{ net.Conn }

func (s sipping) Read(b []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return s.Conn.Read(b[:min(len(b), 16<<10)])
}

// Messages are counted as handled even if the same read ends the link.
func TestHandledBeforeTheEnd(t *testing.T) {
	t.Parallel()
	conns, w := rawPeer(t, 0, worker.Handler{})
	conn := <-conns
	<-w.Ready()
	b := link.Append(nil, attachFrame(0, 1))
	b = link.Append(b, &link.Frame{Type: link.Message, ID: 1, Slot: 1, Token: 7, Payload: []byte("x")})
	b = link.Append(b, &link.Frame{Type: link.GoAway, Code: uint16(link.Draining)})
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return w.Stats().Reconnects > 0 })
	if n := w.Stats().Handled; n != 1 {
		t.Errorf("%d messages count as handled, not 1", n)
	}
	_ = conn.Close()
}

// Messages that wait behind a slow call when the link ends go to the next link and are dropped
// here, even if the client has disconnected.
func TestQueueOfDeadLink(t *testing.T) {
	t.Parallel()
	const messages = 50
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("gone=%v", gone), func(t *testing.T) {
			t.Parallel()
			var handled atomic.Int64
			started, release := make(chan struct{}, messages), make(chan struct{})
			let := sync.OnceFunc(func() { close(release) })
			defer let()        // also when the test fails
			t.Cleanup(func() { // when Run has ended all that was to be handled has been
				if n := handled.Load(); n != 1 {
					t.Errorf("%d messages were handled, not 1", n)
				}
			})
			conns, w := rawPeer(t, 0, onMessage(func(worker.Call, worker.Message) {
				started <- struct{}{}
				<-release
				handled.Add(1)
			}))
			conn := <-conns
			<-w.Ready()
			b := link.Append(nil, attachFrame(0, 1))
			for i := range uint32(messages) {
				b = link.Append(b, &link.Frame{Type: link.Message, ID: i + 1, Slot: 1, Token: 7, Payload: []byte("x")})
			}
			if gone {
				b = link.Append(b,
					&link.Frame{Type: link.Detach, ID: messages, Slot: 1, Token: 7, Code: uint16(link.ReasonPeer)})
			}
			b = link.Append(b, &link.Frame{Type: link.Ping, ID: 9})
			go func() { _, _ = conn.Write(b) }()
			<-started
			awaitPong(t, conn) // all before it has been queued
			_ = conn.Close()
			await(t, func() bool { return w.Stats().Reconnects > 0 })
			let()
		})
	}
}

// awaitPong reads until the answer to ping 9 has come.
func awaitPong(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	in := make([]byte, 0, 64<<10)
	for {
		var f link.Frame
		n, err := link.Next(in, link.MaxFrame, &f)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			if f.Type == link.Pong && f.ID == 9 {
				return
			}
			in = in[:copy(in, in[n:])]
			continue
		}
		got, err := conn.Read(in[len(in):cap(in)])
		if err != nil {
			t.Fatal(err)
		}
		in = in[:len(in)+got]
	}
}

// Answers are partial if a gateway of Config.Gateways has never been linked. The error says why a
// gateway that was asked has not answered.
func TestPartial(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	nobody, err := net.Listen("tcp", "127.0.0.1:0") // a hello to it is never answered
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nobody.Close() })
	w := run(t, worker.Config{Gateways: []string{g.WorkerAddr(), nobody.Addr().String()}}, across)
	await(t, func() bool { return w.Stats().Links == 2 })
	if _, err := w.Count(t.Context(), worker.Everyone()); !errors.Is(err, worker.ErrPartial) {
		t.Errorf("Count without one of two gateways: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.Count(ended, worker.Everyone())
	if !errors.Is(err, worker.ErrPartial) || !errors.Is(err, context.Canceled) {
		t.Errorf("Count with a context that has ended: %v", err)
	}
}
