package redistest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/redistest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestSingle(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do("set", "a", "1")
	if got := s.Do("get", "a"); got != "1" {
		t.Errorf("%q", got)
	}
	s.Pause()
	s.Resume()
	s.Kill()
	if out, err := s.Try("ping"); err == nil {
		t.Errorf("a killed server says %q", out)
	}
	s.Restart()
	if got := s.Do("exists", "a"); got != "0" {
		t.Errorf("%q keys after a restart", got)
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	s := redistest.WithUser(t, "sluice", "a secret", "~sluice:*", "+@all")
	if got := s.Do("ping"); got != "PONG" {
		t.Errorf("%q", got)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, ca := certstest.New(t).Files(t, "127.0.0.1")
	if got := redistest.WithTLS(t, cert, key, ca).Do("ping"); got != "PONG" {
		t.Errorf("%q", got)
	}
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	w := redistest.Sentinel(t, 1)
	first := w.Primary()
	first.Kill()
	w.AwaitPrimary(first)
	if w.Primary() != w.Servers[1] {
		t.Error("the replica is not the primary")
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	n := redistest.Cluster(t)
	from, slot := n.Owner("a")
	to := (from + 1) % 3
	n.Servers[from].Do("set", "a", "1")
	n.Begin(slot, from, to)
	n.Finish(slot, from, to)
	if got := n.Servers[to].Do("get", "a"); got != "1" {
		t.Errorf("%q", got)
	}
}

// A server ends with a test process that is killed.
func TestServersDieWithTheTest(t *testing.T) {
	t.Parallel()
	const asked = "REDISTEST_CHILD"
	if path := os.Getenv(asked); path != "" {
		s := redistest.Start(t)
		certstest.Write(t, path+".new", []byte(s.Do("info", "server")))
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
	}
	redistest.Start(t).Kill() // skips the test without redis-server
	path := filepath.Join(t.TempDir(), "info")
	child := exec.Command(os.Args[0], "-test.run", "^TestServersDieWithTheTest$", "-test.timeout", "2m")
	child.Env = append(os.Environ(), asked+"="+path, "TMPDIR="+t.TempDir())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var info string
	for end := time.Now().Add(time.Minute); info == ""; time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(path); err == nil {
			info = string(b)
		} else if time.Now().After(end) {
			t.Fatal("the child has started no server")
		}
	}
	_ = child.Process.Signal(syscall.SIGKILL)
	_ = child.Wait()
	_, rest, _ := strings.Cut(info, "process_id:")
	pid, _, _ := strings.Cut(rest, "\r")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat("/proc/" + pid); err != nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %s is there", pid)
		}
	}
}
