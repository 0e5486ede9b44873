package faults_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/e2e/internal/fleet"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// The network between a gateway and one of its two workers is cut without notice to either, and
// then restored. Each message comes back once and in order. What the cut-off worker does
// meanwhile has no effect. After the cut it serves again: in the end it is the only worker.
func TestPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	network := proctest.NewNetwork(t)
	bin := proctest.Build(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("the key that all of this test's processes share"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := proctest.Start(t, nil, bin, "gateway", "--listen", "ws://127.0.0.1:0", "--inner", "0.0.0.0:0",
		"--reactors", "2", "--key-file", key)
	_, port, err := net.SplitHostPort(g.Addrs["inner"])
	if err != nil {
		t.Fatal(err)
	}
	network.Start(bin, "bench", "serve", "--worker", "--key-file", key, "--gateway", net.JoinHostPort(network.Here, port))
	near := proctest.Start(t, nil, bin, "bench", "serve", "--worker", "--key-file", key, "--gateway", "127.0.0.1:"+port)

	enough := make(chan struct{})
	begun, done := fleet.LoadUntil(t, bench.Options{
		Mode: bench.Echo, Codec: bench.WebSocket, Conns: 200, Rate: 2000, Targets: []string{g.Addrs["ws"]},
		Warmup: time.Second, Window: time.Minute, Drain: time.Minute,
	}, enough)
	select {
	case <-begun:
	case <-done: // it has failed
		return
	}
	const links = 2 // of each worker
	network.Cut()
	cut := time.Now()
	g.AwaitLog(`msg="link ended by the gateway"`, links)
	noticed := time.Since(cut)
	time.Sleep(time.Second) // the other worker serves all
	network.Heal()
	g.AwaitLog(`msg="link open"`, 3*links)
	time.Sleep(time.Second) // both serve
	if err := near.Stop(); err != nil {
		t.Errorf("the worker that was told to stop: %v", err)
	}
	time.Sleep(time.Second) // the one that was cut off serves all
	close(enough)
	r := <-done
	if r == nil {
		return
	}
	t.Logf("%.0f messages a second, audit %+v, latency p50 %d µs, max %d µs: "+
		"what was with the worker that was cut off waited until that was noticed after %v",
		r.Sent, r.Audit, r.Latency.P50, r.Latency.Max, noticed)
	fleet.ExpectClean(t, r)
}
