package bench_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/procfs"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// idleEnv makes this test binary a gateway, or the worker of the gateway that it names, with a
// page that shows the live heap of the process.
const (
	idleEnv     = "SLUICE_BENCH_IDLE"
	idleGateway = "gateway"
)

func serveIdle() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if of := os.Getenv(idleEnv); of != idleGateway {
		return serveIdleWorker(ctx, of)
	}
	g, err := gateway.New(gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0", Page: http.HandlerFunc(tellHeap)}},
	})
	if err != nil {
		return err
	}
	go func() {
		<-g.Ready()
		fmt.Println("ready", g.Addrs()[0], "inner://"+g.WorkerAddr())
	}()
	return g.Run(ctx)
}

func serveIdleWorker(ctx context.Context, of string) error {
	w, err := worker.New(worker.Config{Gateways: []string{of}}, worker.Handler{})
	if err != nil {
		return err
	}
	page := httptest.NewServer(http.HandlerFunc(tellHeap))
	defer page.Close()
	fmt.Println("ready", "page://"+page.Listener.Addr().String())
	return w.Run(ctx)
}

func tellHeap(w http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_, _ = fmt.Fprint(w, m.HeapAlloc)
}

// idler is a WebSocket client that opens and then sends nothing.
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

// BenchmarkIdle holds idle WebSocket clients and prints the memory of each in the gateway and in
// the worker: the slope from 1,000 to 15,000 clients. Each has a session, an attachment at the
// worker, and a heartbeat.
//
//	go test -run '^$' -bench 'Idle$' -benchtime 1x ./bench
func BenchmarkIdle(b *testing.B) {
	const few, many = 1000, 15000
	gw := proctest.Start(b, []string{idleEnv + "=" + idleGateway}, os.Args[0])
	w := proctest.Start(b, []string{idleEnv + "=" + gw.Addrs["inner"]}, os.Args[0])
	for range b.N {
		e, err := engine.New(engine.Config{})
		if err != nil {
			b.Fatal(err)
		}
		dial(b, e, gw.Addrs["ws"], few)
		heapFew, rssFew := memory(b, gw, "ws")
		workerHeapFew, workerRSSFew := memory(b, w, "page")
		dial(b, e, gw.Addrs["ws"], many-few)
		heapMany, rssMany := memory(b, gw, "ws")
		workerHeapMany, workerRSSMany := memory(b, w, "page")
		b.ReportMetric((heapMany-heapFew)/(many-few), "heap-B/client")
		b.ReportMetric((rssMany-rssFew)/(many-few), "rss-B/client")
		b.ReportMetric((workerHeapMany-workerHeapFew)/(many-few), "worker-heap-B/client")
		b.ReportMetric((workerRSSMany-workerRSSFew)/(many-few), "worker-rss-B/client")
		b.ReportMetric(0, "ns/op")
		if err := e.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdleCPU holds WebSocket clients that only answer pings, and prints the CPU time per
// second of each in the gateway and in the worker: the slope from 1,000 to 15,000 clients, and the
// cost of 15,000 clients over that of one. The second figure is larger: whatever wakes a loop ten
// times a second also wakes Go's monitor thread, for any number of clients. The window has two
// whole heartbeats.
//
//	go test -run '^$' -bench IdleCPU -benchtime 1x -v ./bench
func BenchmarkIdleCPU(b *testing.B) {
	const few, many = 1000, 15000
	bin := proctest.Build(b)
	gw := proctest.Start(b, nil, bin, "gateway", "--listen", "ws://127.0.0.1:0", "--inner", "127.0.0.1:0")
	w := proctest.Start(b, nil, bin, "echo", "--worker", "--gateway", gw.Addrs["inner"])
	o := bench.Options{
		Mode: bench.Idle, Targets: []string{gw.Addrs["ws"]},
		PIDs:   []bench.PID{{Name: "gateway", PID: gw.PID}, {Name: "worker", PID: w.PID}},
		Warmup: 5 * time.Second, Window: 50 * time.Second,
	}
	for range b.N {
		one, low, high := still(b, o, 1), still(b, o, few), still(b, o, many)
		for i, p := range high.Servers {
			b.ReportMetric((p.Cores-low.Servers[i].Cores)/(many-few)*1e6, p.Name+"-cpu-µs/client/s")
			b.ReportMetric((p.Cores-one.Servers[i].Cores)/many*1e6, p.Name+"-over-one-cpu-µs/client/s")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// still holds so many idle connections.
func still(b *testing.B, o bench.Options, conns int) *bench.Report {
	b.Helper()
	o.Conns = conns
	r, err := bench.Run(b.Context(), o, nil)
	if err != nil {
		b.Fatal(err)
	}
	if r.Verdict.Failed {
		b.Fatal(r.Verdict.Reasons)
	}
	for _, p := range r.Servers {
		b.Logf("%d clients: %s %.1f ms of CPU time a second", conns, p.Name, p.Cores*1e3)
	}
	return r
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
		if err := e.Register(nil, nc, &idler{key: codec.NewKey(), open: &open}, engine.ConnOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	open.Wait()
}

// memory returns the live heap and the resident memory of a process in bytes, after a collection.
func memory(b *testing.B, p *proctest.Process, scheme string) (heap, rss float64) {
	b.Helper()
	c := http.Client{Timeout: 30 * time.Second}
	r, err := c.Get("http://" + p.Addrs[scheme] + "/")
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
	return float64(n), float64(procfs.Resident(p.PID))
}
