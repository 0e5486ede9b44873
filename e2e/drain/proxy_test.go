package drain_test

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// proxyLag is how long a proxy's bytes are on their way to a client.
const proxyLag = 20 * time.Millisecond

// startProxy forwards connections to an address, as reverse proxies do. When the server ends a
// connection, the proxy closes the client's at once. If input of the client is unread then, that
// is a reset, and output on its way to the client is lost.
func startProxy(t *testing.T, to string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			running.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
			running.Go(func() { passDown(client.(*net.TCPConn), server) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

// passDown forwards the server's output to the client with a delay, and the server's end without
// one.
func passDown(client *net.TCPConn, server net.Conn) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	way, over := make(chan piece, 1024), make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for p := range way {
			select {
			case <-over:
				return
			case <-time.After(time.Until(p.due)):
			}
			if _, err := client.Write(p.bytes); err != nil {
				return
			}
		}
	})
	for buf := make([]byte, 64<<10); ; {
		n, err := server.Read(buf)
		if err != nil {
			break
		}
		select {
		case way <- piece{bytes.Clone(buf[:n]), time.Now().Add(proxyLag)}:
		default: // the client does not take it
		}
	}
	_ = client.SetLinger(0)
	_ = client.Close()
	close(over)
	close(way)
	writing.Wait()
	_ = server.Close()
}

// Behind a proxy, a client that sends without a pause receives the reason, and the answers to
// everything that was handled: the gateway does not end the connection before the client has
// received them.
func TestGatewayDrainsBehindAProxy(t *testing.T) {
	t.Parallel()
	const n = 40
	gateway := proctest.Start(t, nil, proctest.Build(t), "gateway", "--listen", "ws://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "2", "--drain-timeout", "30s")
	proxy := startProxy(t, gateway.Addrs["ws"])
	var mu sync.Mutex
	handled := make(map[string]int) // by client; guarded by mu
	proctest.StartWorker(t, gateway.Addrs["inner"], func() {}, func(c worker.Call, m worker.Message) {
		name, _, _ := bytes.Cut(m.Data, []byte(" "))
		mu.Lock()
		handled[string(name)]++
		mu.Unlock()
		c.Send(m)
	})
	leavers := make([]*leaver, n)
	var talking sync.WaitGroup
	for i := range leavers {
		leavers[i] = &leaver{name: strconv.Itoa(i)}
		talking.Go(func() { leavers[i].webSocket(proxy) })
	}
	proctest.Await(t, "everybody talks", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == n
	})
	gateway.Signal(syscall.SIGTERM)
	talking.Wait()
	if code := gateway.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, l := range leavers {
		if l.err != nil {
			t.Errorf("client %s: %v", l.name, l.err)
		} else if l.farewell != "1012" || handled[l.name] != l.answers {
			t.Errorf("client %s was told %q; %d messages were handled, and it has %d answers",
				l.name, l.farewell, handled[l.name], l.answers)
		}
	}
}
