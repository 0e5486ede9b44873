package worker_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// stuckOffice has a handler that never returns.
type stuckOffice struct {
	begun   chan struct{}
	never   chan struct{}
	stopped *bool
}

func (o stuckOffice) handler() worker.Handler {
	return worker.Handler{Message: o.message, Stop: func(context.Context, *worker.Worker) { *o.stopped = true }}
}

func (o stuckOffice) message(context.Context, worker.Call, worker.Message) error {
	o.begun <- struct{}{}
	waitsForever(o.never)
	return nil
}

func waitsForever(never chan struct{}) { <-never }

// Handlers that never return do not keep Run from returning: it says which they are, wherever their call ran, also when their link has died.
func TestStuckHandlerAtDrain(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		t.Run(map[bool]string{false: "link lives", true: "link dies"}[dies], func(t *testing.T) {
			t.Parallel()
			stopped := false
			o := stuckOffice{make(chan struct{}, 9), make(chan struct{}), &stopped}
			defer close(o.never)
			conns := make(chan net.Conn, 64)
			w, err := worker.New(worker.Config{
				Gateways: []string{"peer"}, DrainTimeout: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
				Dial: pipeDial(conns, 0),
			}, o.handler())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			conn := <-conns
			<-w.Ready()
			var b []byte
			for i := range uint32(5) {
				b = link.Append(b, &link.Frame{Type: link.Attach, ID: 2*i + 1, Slot: i, Token: 7, Payload: link.AppendAttachment(nil, &link.Attachment{Remote: "r", Listener: "l"})})
				b = link.Append(b, &link.Frame{Type: link.Message, ID: 2*i + 2, Slot: i, Token: 7, Payload: []byte("x")})
			}
			var peer sync.WaitGroup
			defer peer.Wait()
			defer func() { _ = conn.Close() }()
			peer.Go(func() { _, _ = conn.Write(b); _, _ = io.Copy(io.Discard, conn) })
			<-o.begun
			if !dies {
				for range 4 {
					<-o.begun
				}
			} else {
				_ = conn.Close()
			}
			cancel()
			select {
			case err = <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("Run waits for the handler")
			}
			if !errors.Is(err, worker.ErrHandlersRunning) || !strings.Contains(err.Error(), "waitsForever (stuck_test.go:") || !strings.Contains(err.Error(), "stuckOffice.message") {
				t.Errorf("Run: %v", err)
			}
			if !dies && !strings.Contains(err.Error(), "calls: 5") {
				t.Errorf("Run does not say how many there are: %v", err)
			}
			if !stopped {
				t.Error("Stop was not called")
			}
		})
	}
}
