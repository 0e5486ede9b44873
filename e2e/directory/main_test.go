// Package directory_test runs gateways and workers that find each other by a directory or by DNS,
// and lets them join, leave and fail while clients talk. Every message is audited.
package directory_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/e2e/internal/fleet"
	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/redistest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(3)
	leaktest.Main(m, http.DefaultClient.CloseIdleConnections, browsertest.End)
}

// cluster is gateways and workers with a directory in Redis. One goroutine uses it.
type cluster struct {
	t        *testing.T
	bin      string
	redis    *redistest.Server // nil if it is not a single one
	url      string            // of --engine
	gateways []*proctest.Process
	workers  []*proctest.Process
}

func newCluster(t *testing.T, gateways, workers int) *cluster {
	t.Helper()
	redis := redistest.Start(t)
	c := clusterAt(t, "redis://"+redis.Addr, gateways, workers)
	c.redis = redis
	return c
}

// clusterAt is like newCluster, for a Redis that runs.
func clusterAt(t *testing.T, url string, gateways, workers int) *cluster {
	t.Helper()
	c := &cluster{t: t, url: url, bin: proctest.Build(t)}
	for range gateways {
		c.gateway()
	}
	for range workers {
		c.worker()
	}
	return c
}

// gateway starts a gateway.
func (c *cluster) gateway() *proctest.Process {
	c.t.Helper()
	g := proctest.Start(c.t, nil, c.bin, "gateway", "--engine", c.url, "--inner", "127.0.0.1:0", "--reactors", "2",
		"--listen", "ws://127.0.0.1:0", "--listen", "text://127.0.0.1:0", "--admin", "127.0.0.1:0")
	c.gateways = append(c.gateways, g)
	return g
}

// worker starts a worker that does what a load asks for.
func (c *cluster) worker() {
	c.t.Helper()
	w := proctest.Start(c.t, nil, c.bin, "bench", "serve", "--worker", "--engine", c.url)
	c.workers = append(c.workers, w)
}

// load starts a load of all gateways that were started.
func (c *cluster) load(window time.Duration) <-chan *bench.Report {
	return c.loadOf(bench.Options{Mode: bench.Echo, Conns: 60, Rate: 300, Window: window})
}

// loadUntil is load until end is called.
func (c *cluster) loadUntil() (load <-chan *bench.Report, end func()) {
	enough := make(chan struct{})
	o := c.options(bench.Options{Mode: bench.Echo, Conns: 60, Rate: 300, Window: tooLong})
	_, load = fleet.LoadUntil(c.t, o, enough)
	return load, func() { close(enough) }
}

// tooLong is the window of a load that its test ends.
const tooLong = 10 * time.Minute

// afterwards is how long a load goes on when the last fault is over.
const afterwards = 2 * time.Second

// chat starts a load of people at all gateways that were started. They log in, talk in rooms and in
// private, leave and come back.
func (c *cluster) chat(window time.Duration) <-chan *bench.Report {
	return c.loadOf(bench.Options{Mode: bench.Chat, Conns: 90, RoomSize: 2, Rate: 150, Window: window})
}

func (c *cluster) loadOf(o bench.Options) <-chan *bench.Report { return fleet.Load(c.t, c.options(o)) }

func (c *cluster) options(o bench.Options) bench.Options {
	o.Codec, o.Warmup, o.Drain = bench.WebSocket, time.Second, 15*time.Second
	for _, g := range c.gateways {
		o.Targets = append(o.Targets, g.Addrs["ws"])
	}
	return o
}

// endsClean waits for the end of a load, of which nothing was lost or doubled.
func (c *cluster) endsClean(load <-chan *bench.Report) {
	c.t.Helper()
	if r := <-load; r != nil {
		c.t.Logf("%.0f messages a second, audit %+v, latency p50 %d us, max %d us",
			r.Sent, r.Audit, r.Latency.P50, r.Latency.Max)
		fleet.ExpectClean(c.t, r)
	}
}

// get returns the answer of an admin listener.
func (c *cluster) get(g *proctest.Process, path string) (status int, body string) {
	c.t.Helper()
	r, err := http.Get("http://" + g.Addrs["admin"] + path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// inUse waits until a gateway has workers, and returns how long that has taken.
func (c *cluster) inUse(g *proctest.Process) time.Duration {
	c.t.Helper()
	began := time.Now()
	proctest.Await(c.t, "the gateway has workers", func() bool {
		status, _ := c.get(g, "/readyz")
		return status == http.StatusOK
	})
	return time.Since(began).Round(time.Millisecond)
}

// found waits until workers have found a gateway.
func (c *cluster) found(g *proctest.Process, workers ...*proctest.Process) {
	c.t.Helper()
	for _, w := range workers {
		w.AwaitLog(`msg="gateway found" addr=`+g.Addrs["inner"], 1)
	}
}

// undisturbed fails the test if a process has lost a link.
func undisturbed(t *testing.T, all ...*proctest.Process) {
	t.Helper()
	for _, p := range all {
		if strings.Contains(p.Log(), "link closed") || strings.Contains(p.Log(), "link failed") {
			t.Error("a link was lost")
		}
	}
}

// listener is a text client that remembers what it reads.
type listener struct {
	t    *testing.T
	conn net.Conn

	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func newListener(t *testing.T, addr string) *listener {
	t.Helper()
	l := &listener{t: t, conn: proctest.Dial(t, addr)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 64<<10)
		for {
			n, err := l.conn.Read(b)
			l.mu.Lock()
			l.text.Write(b[:n])
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = l.conn.Close()
		<-read
	})
	return l
}

// hears waits until the client has read a text.
func (l *listener) hears(text string) {
	l.t.Helper()
	proctest.Await(l.t, "a client reads "+text, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return strings.Contains(l.text.String(), text)
	})
}
