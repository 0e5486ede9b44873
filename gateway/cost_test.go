package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// echoAll sends each message back without allocating. It returns when the link ends.
func echoAll(conn net.Conn) {
	in, out := make([]byte, 0, 1<<20), make([]byte, 0, 1<<20)
	for {
		n, err := conn.Read(in[len(in):cap(in)])
		if err != nil {
			return
		}
		in = in[:len(in)+n]
		var taken int
		out, taken = gateway.EchoUnits(out[:0], in)
		in = in[:copy(in, in[taken:])]
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// A message to the worker and its reply cost the gateway no allocation. A turn of a loop costs two,
// in gnet, shared by many messages. The test is not parallel, because it measures the whole
// process.
func TestAMessageCostsNoAllocation(t *testing.T) {
	const batch, rounds = 256, 100
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	conn := dial(t, g.WorkerAddr())
	if _, err := link.Connect(conn, nil, oneWorker); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		echoAll(conn)
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	client := dial(t, hostport(g.Addrs()[0]))
	_ = client.SetDeadline(time.Now().Add(6 * patience))
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
	run() // buffers grow to their size
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	if !bytes.Equal(said, received) {
		t.Error("not an echo")
	}
	if each := float64(after.Mallocs-before.Mallocs) / (batch * rounds); each >= 0.05 {
		t.Errorf("%.3f allocations a message", each)
	}
}

// BenchmarkFanout publishes one message to all clients of a loop and waits until each has received
// it.
func BenchmarkFanout(b *testing.B) {
	for _, clients := range []int{1000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			g, _ := start(b, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
			w := newPublisher(b, g)
			message := bytes.Repeat([]byte("x"), 99)
			conns := make([]net.Conn, clients)
			for i := range conns {
				conns[i] = dial(b, hostport(g.Addrs()[0]))
			}
			admitClients(b, g, clients)
			f := &link.Frame{Type: link.Publish, Flags: link.FlagText,
				Payload: append(link.AppendIDs[link.ClientID](link.AppendList[string](nil, nil), nil), message...)}
			received := make([]byte, len(message)+1)
			b.ReportAllocs()
			for b.Loop() {
				w.write(f)
				for _, conn := range conns {
					if _, err := io.ReadFull(conn, received); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(clients)*float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}
