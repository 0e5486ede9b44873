package bench_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// A new connection that is turned away, and told so, is a failure of that kind: nothing
// of it is lost, changed or closed.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	for codec, refuse := range map[bench.Codec]func(net.Conn){
		bench.Text:      func(nc net.Conn) { _, _ = io.WriteString(nc, `{"type":"sluice.overloaded"}`+"\n") },
		bench.WebSocket: refuse,
	} {
		t.Run(string(codec), func(t *testing.T) {
			t.Parallel()
			r, err := bench.Run(t.Context(), bench.Options{
				Mode: bench.Connect, Codec: codec, Targets: []string{serve(t, refuse)}, Conns: 2, Warmup: -1,
				Window: 200 * time.Millisecond,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			away := len(r.Errors) == 1 && r.Errors[0].Kind == bench.TurnedAway && r.Errors[0].Count > 0
			if a := r.Audit; !a.Clean() || a.Expected > 0 || !away || !r.Verdict.Failed {
				t.Errorf("%+v, %+v, %+v", a, r.Errors, r.Verdict)
			}
		})
	}
}

// A connection with an answer is not new: what the server does not answer after
// that is lost, and the audit adds up.
func TestTurnedAwayLater(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(nc net.Conn) {
		in := bufio.NewReader(nc)
		line, _ := in.ReadString('\n')
		_, _ = io.WriteString(nc, line)
		_, _ = in.ReadString('\n')
		_, _ = io.WriteString(nc, `{"type":"sluice.overloaded"}`+"\n")
	})
	r, err := bench.Run(t.Context(), bench.Options{
		Mode: bench.Churn, PerConn: 3, Codec: bench.Text, Targets: []string{addr}, Conns: 2, Warmup: -1,
		Window: 200 * time.Millisecond,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	away := len(r.Errors) == 1 && r.Errors[0].Kind == bench.TurnedAway
	if a := r.Audit; a.Lost == 0 || a.Received == 0 || !a.Balanced() || a.Sent != a.Expected || !away {
		t.Errorf("%+v, %+v, %+v", a, r.Errors, r.Verdict)
	}
}

// A client that is turned away when it reconnects, in a mode with long-lived connections, is
// reported, and the run ends.
func TestTurnedAwayOnReturn(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "ws://127.0.0.1:0", "--inner", "127.0.0.1:0")
	proctest.Start(t, nil, bin, "bench", "serve", "--worker", "--gateway", gateway.Addrs["inner"])
	const conns = 40
	var came atomic.Int32
	addr := serve(t, func(nc net.Conn) {
		if came.Add(1) > conns {
			refuse(nc)
			return
		}
		to, err := net.Dial("tcp", gateway.Addrs["ws"])
		if err != nil {
			t.Error(err)
			return
		}
		go func() { _, _ = io.Copy(nc, to); _ = nc.Close() }()
		_, _ = io.Copy(to, nc)
		_ = to.Close()
	})
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	r, err := bench.Run(ctx, bench.Options{
		Mode: bench.Chat, Codec: bench.WebSocket, Targets: []string{addr}, Conns: conns, RoomSize: 8, Think: time.Millisecond,
		Warmup: -1, Window: 20 * time.Second, Drain: -1,
	}, func(m bench.Interval) {
		if m.Errors > 0 {
			enough()
		}
	})
	if r == nil {
		t.Fatal(err)
	}
	if len(r.Errors) != 1 || r.Errors[0].Kind != bench.TurnedAway || !r.Verdict.Failed {
		t.Errorf("%d reconnected: %+v, %+v", r.Actions.Reconnected, r.Errors, r.Verdict)
	}
}

// refuse answers an upgrade with 503.
func refuse(nc net.Conn) {
	_, _ = bufio.NewReader(nc).ReadString('\n')
	_, _ = io.WriteString(nc, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

// serve handles each connection of a new server and returns its address. The client closes a
// connection, after the handler.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = nc.Close() }()
				handle(nc)
				_, _ = io.Copy(io.Discard, nc)
			}()
		}
	}()
	return fmt.Sprint(l.Addr())
}
