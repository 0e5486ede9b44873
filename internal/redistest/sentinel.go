package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Watched is a primary with replicas that three Sentinels watch.
type Watched struct {
	Name      string // of the primary, for Sentinel
	Servers   []*Server
	Sentinels []*Server

	tb testing.TB
}

// Sentinel starts a primary with replicas and three Sentinels, which call it down after a second.
func Sentinel(tb testing.TB, replicas int) *Watched {
	tb.Helper()
	w := &Watched{Name: "main", tb: tb}
	primary := Start(tb, "--repl-diskless-sync-delay", "0")
	w.Servers = append(w.Servers, primary)
	for range replicas {
		w.Servers = append(w.Servers, Start(tb, "--replicaof", "127.0.0.1 "+primary.port, "--repl-diskless-sync-delay", "0"))
	}
	for _, r := range w.Servers[1:] {
		r.Await("master_link_status:up", "info", "replication")
	}
	for range 3 {
		w.Sentinels = append(w.Sentinels, startSentinel(tb, w.Name, primary.port))
	}
	for _, s := range w.Sentinels {
		s.Await("num-other-sentinels\n2\n", "sentinel", "master", w.Name)
		s.Await(fmt.Sprintf("num-slaves\n%d\n", replicas), "sentinel", "master", w.Name)
	}
	return w
}

func startSentinel(tb testing.TB, name, primary string) *Server {
	tb.Helper()
	for range 20 {
		s := &Server{tb: tb, port: freePort(tb), dir: tb.TempDir()}
		s.Addr = net.JoinHostPort("127.0.0.1", s.port)
		conf := filepath.Join(s.dir, "sentinel.conf")
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %s 2\n"+
			"sentinel down-after-milliseconds %[3]s 1000\nsentinel failover-timeout %[3]s 5000\n", s.port, s.dir, name, primary)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		s.args = []string{conf, "--sentinel"}
		if s.launch() {
			tb.Cleanup(s.Kill)
			return s
		}
	}
	tb.Fatal("no Sentinel starts")
	return nil
}

// URL returns the URL by which the primary is found, with two of the Sentinels.
func (w *Watched) URL() string {
	return "redis+sentinel://" + w.Sentinels[0].Addr + "," + w.Sentinels[1].Addr + "/" + w.Name
}

// Primary returns the server that the first Sentinel calls the primary.
func (w *Watched) Primary() *Server {
	w.tb.Helper()
	out := w.Sentinels[0].Do("sentinel", "get-master-addr-by-name", w.Name)
	for _, s := range w.Servers {
		if out == "127.0.0.1\n"+s.port {
			return s
		}
	}
	w.tb.Fatalf("the primary is %q", out)
	return nil
}

// AwaitPrimary waits until another server than the given one is the primary, for all Sentinels.
func (w *Watched) AwaitPrimary(other *Server) {
	w.tb.Helper()
	for end := time.Now().Add(2 * patience); ; time.Sleep(50 * time.Millisecond) {
		agreed := 0
		for _, s := range w.Sentinels {
			out, err := s.Try("sentinel", "get-master-addr-by-name", w.Name)
			if err == nil && out != "127.0.0.1\n"+other.port {
				agreed++
			}
		}
		if agreed == len(w.Sentinels) {
			w.Primary().Await("role:master", "info", "replication")
			return
		}
		if time.Now().After(end) {
			w.tb.Fatalf("no fail-over within %v", 2*patience)
		}
	}
}
