package directory_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/e2e/internal/fleet"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// Three hosts with a cable between each two of them: this one with a gateway and a worker, another
// one with both, one with Redis. Each cable is cut while clients of the gateway here talk, and then
// two at once. Only a cut between the first two ends links. No message is lost or doubled, and when
// the cables are back everybody finds everybody again.
func TestPartitions(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	workerHost := proctest.NewNetwork(t)
	redisHost := proctest.NewNetwork(t)
	between := workerHost.Connect(redisHost)
	bin := proctest.Build(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("the key that all of this test's processes share"), 0o600); err != nil {
		t.Fatal(err)
	}
	redis := redisOn(t, redisHost)
	here := []string{"--key-file", key, "--engine", "redis://" + redis}
	g := proctest.Start(t, nil, bin, append([]string{
		"gateway", "--listen", "ws://127.0.0.1:0", "--inner", workerHost.Here + ":0", "--reactors", "2",
	}, here...)...)
	near := proctest.Start(t, nil, bin, append([]string{"bench", "serve", "--worker"}, here...)...)
	there := []string{"--key-file", key, "--engine", "redis://" + net.JoinHostPort(between.To, "6379")}
	workerHost.Start(bin, append([]string{
		"gateway", "--listen", "ws://127.0.0.1:0", "--inner", workerHost.There + ":0", "--reactors", "2",
	}, there...)...)
	far := workerHost.Start(bin, append([]string{"bench", "serve", "--worker"}, there...)...)
	for _, w := range []*proctest.Process{near, far} {
		w.AwaitLog("link open", 4)
	}
	enough := make(chan struct{})
	_, done := fleet.LoadUntil(t, bench.Options{
		Mode: bench.Echo, Codec: bench.WebSocket, Conns: 60, Rate: 300, Targets: []string{g.Addrs["ws"]},
		Warmup: time.Second, Window: tooLong, Drain: 15 * time.Second,
	}, enough)

	between.Cut()
	far.AwaitLog("directory does not answer", 1)
	between.Heal()
	far.AwaitLog("directory answers again", 1)

	redisHost.Cut()
	far.AwaitLog("gateway is not listed any more", 1) // its lease has expired
	redisHost.Heal()
	g.AwaitLog("in the directory again", 1)
	undisturbed(t, g, near, far)

	workerHost.Cut()
	far.AwaitLog("link closed", 2)
	workerHost.Heal()
	far.AwaitLog("link open", 6)

	redisHost.Cut()
	workerHost.Cut()
	far.AwaitLog("gateway given up", 1)
	redisHost.Heal()
	workerHost.Heal()
	far.AwaitLog("link open", 8)
	id := regexp.MustCompile(`msg="gateway is in the directory" (gateway=\d+)`).FindStringSubmatch(g.Log())
	if strings.Contains(near.Log(), `msg="link closed" `+id[1]) {
		t.Error("the worker beside the gateway has lost a link to it")
	}

	time.AfterFunc(afterwards, func() { close(enough) })
	r := <-done
	if r == nil {
		return
	}
	t.Logf("%.0f messages a second, audit %+v, latency p50 %d us, max %d us",
		r.Sent, r.Audit, r.Latency.P50, r.Latency.Max)
	fleet.ExpectClean(t, r)
}

// redisOn starts a server on another host, and returns the address by which this host reaches it.
func redisOn(t *testing.T, host *proctest.Network) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("NOT TESTED: there is no redis-server here")
	}
	server := host.Command("redis-server", "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no",
		"--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // it was killed
	})
	addr := net.JoinHostPort(host.There, "6379")
	proctest.Await(t, "redis-server answers", func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return addr
}
