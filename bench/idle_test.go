package bench_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/bench"
	"sluice/codec"
	"sluice/engine"
	"sluice/gateway"
	"sluice/internal/proctest"
)

// idleEnv makes this test binary a gateway whose page tells its heap.
const idleEnv = "SLUICE_BENCH_IDLE"

func serveIdle() error {
	heap := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprint(w, m.HeapAlloc)
	})
	g, err := gateway.New(gateway.Config{Listeners: []gateway.Listener{{URL: "ws://127.0.0.1:0", Page: heap}}})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("ready", g.Addrs()[0], "inner://"+g.InnerAddr())
	return g.Serve(ctx)
}

// idler is a WebSocket client that opens and then says nothing.
type idler struct {
	key  string
	open *sync.WaitGroup
	done bool
}

func (i *idler) OnOpen(c *engine.Conn) {
	_ = c.Write(codec.AppendUpgrade(nil, "127.0.0.1", "/", i.key, &codec.DialOptions{})) // a failure closes the connection
}

func (i *idler) OnData(_ *engine.Conn, in []byte) int {
	if i.done {
		return len(in)
	}
	_, n, err := codec.ReadResponse(in, i.key, &codec.DialOptions{})
	if n > 0 || err != nil {
		i.done = true
		i.open.Done()
	}
	return n
}

func (i *idler) OnClose(*engine.Conn, error) {}

// BenchmarkIdle holds WebSocket clients that say nothing and prints what each of them costs the gateway's process: the slope from 1,000 to 15,000 clients. Each has a
// session, an attachment at a worker, and a heartbeat.
//
//	go test -run '^$' -bench Idle -benchtime 1x ./bench
func BenchmarkIdle(b *testing.B) {
	const few, many = 1000, 15000
	gw := proctest.Start(b, []string{idleEnv + "=1"}, os.Args[0])
	proctest.Start(b, nil, proctest.Build(b), "echo", "--worker", "--gateway", gw.Addrs["inner"])
	for range b.N {
		e, err := engine.New(engine.Config{})
		if err != nil {
			b.Fatal(err)
		}
		dial(b, e, gw.Addrs["ws"], few)
		heapFew, rssFew := heapOf(b, gw), bench.Resident(gw.PID)
		dial(b, e, gw.Addrs["ws"], many-few)
		heapMany, rssMany := heapOf(b, gw), bench.Resident(gw.PID)
		b.ReportMetric(float64(heapMany-heapFew)/(many-few), "heap-B/client")
		b.ReportMetric(float64(rssMany-rssFew)/(many-few), "rss-B/client")
		b.ReportMetric(0, "ns/op")
		if err := e.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func dial(b *testing.B, e *engine.Engine, addr string, n int) {
	b.Helper()
	var open sync.WaitGroup
	open.Add(n)
	for range n {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Enroll(nil, nc, &idler{key: codec.NewKey(), open: &open}, engine.ConnOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	open.Wait()
}

// heapOf is the gateway's live heap in bytes, after a collection.
func heapOf(b *testing.B, gw *proctest.Process) int {
	b.Helper()
	c := http.Client{Timeout: 30 * time.Second}
	r, err := c.Get("http://" + gw.Addrs["ws"] + "/")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		b.Fatal(err)
	}
	return n
}
