package directory_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// Redis is flushed, killed and started again empty, and frozen for longer than the leases, while
// clients talk. No link is lost, no message is lost or doubled, the gateways stay ready and say
// what is wrong, and after each fault gateways and workers are found again.
func TestRedisFails(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, 2)
	load, end := c.loadUntil()
	rows := func(n int) {
		t.Helper()
		began := time.Now()
		proctest.Await(t, "the rows are there", func() bool {
			keys, err := c.redis.Try("keys", "*gateway/*")
			return err == nil && len(strings.Fields(keys)) >= n
		})
		t.Logf("%d rows were back after %v", n, time.Since(began).Round(time.Millisecond))
	}
	rows(2)

	c.redis.Do("flushall")
	rows(2)

	c.redis.Kill()
	c.answers("0")
	status, body := c.get(c.gateways[0], "/readyz")
	if status != http.StatusOK || !strings.Contains(body, "the directory has not answered") ||
		!strings.Contains(body, "connection refused") {
		t.Errorf("/readyz: %d %q", status, body)
	}
	c.redis.Restart()
	rows(2)
	c.answers("1")

	c.redis.Pause()
	time.Sleep(12 * time.Second) // longer than the leases
	c.answers("0")
	c.redis.Resume()
	rows(2)
	c.answers("1")

	undisturbed(t, slices.Concat(c.gateways, c.workers)...)
	for _, w := range c.workers {
		if strings.Contains(w.Log(), "given up") {
			t.Error("a worker has given a living gateway up")
		}
	}
	third := c.gateway()
	t.Logf("a gateway that joined after the faults was in use after %v", c.inUse(third))
	c.worker()
	proctest.Echoes(t, proctest.Dial(t, third.Addrs["text"]), "hello")
	time.AfterFunc(afterwards, end)
	c.endsClean(load)
}

// answers waits until all gateways say whether the directory answers, "1", or not, "0".
func (c *cluster) answers(up string) {
	c.t.Helper()
	for _, g := range c.gateways {
		proctest.Await(c.t, "sluice_directory_up is "+up, func() bool {
			_, body := c.get(g, "/metrics")
			return strings.Contains(body, "\nsluice_directory_up "+up+"\n")
		})
	}
}

// Gateways and workers that start while Redis does not answer wait for it, and say so.
func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0, 0)
	c.redis.Kill()
	ready := make(chan *proctest.Process, 2)
	go func() { ready <- c.gateway() }()
	go func() {
		ready <- proctest.Start(t, nil, c.bin, "bench", "serve", "--worker", "--engine", c.url)
	}()
	select {
	case <-ready:
		t.Error("a process is ready without a directory")
	case <-time.After(2 * time.Second):
	}
	c.redis.Restart()
	began := time.Now()
	for range 2 {
		<-ready
	}
	t.Log("both were ready after", time.Since(began).Round(time.Millisecond))
	proctest.Echoes(t, proctest.Dial(t, c.gateways[0].Addrs["text"]), "hello")
}
