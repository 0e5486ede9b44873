package redisdir_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/directory/directorytest"
	"github.com/seed-7410fe32/sluice/internal/directory/redisdir"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/redistest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(6)
	leaktest.Main(m, redistest.AwaitClients)
}

// connect opens a client, which is closed at the end of the test.
func connect(t *testing.T, cfg redisdir.Config) *redisdir.Directory {
	t.Helper()
	cfg.Timeout = 5 * time.Second // a machine with much load
	cfg.Logger = slog.New(slog.DiscardHandler)
	d, err := redisdir.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// store is a prefix of a Redis.
type store struct {
	cfg   redisdir.Config
	flush func()
}

func (s store) Client(t *testing.T) directory.Directory {
	d := connect(t, s.cfg)
	await(t, "up", func() bool { return d.State().Up })
	return d
}

func (s store) Flush(*testing.T) { s.flush() }

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30s: %s", what)
		}
	}
}

// contract runs the contract's tests on one Redis, each with a prefix of its own. fresh makes a
// server for a test that flushes it.
func contract(t *testing.T, cfg redisdir.Config, fresh func(t *testing.T) (redisdir.Config, func())) {
	cfg.Keep, cfg.EntryTTL = directorytest.Keep, directorytest.EntryTTL
	directorytest.Run(t, func(t *testing.T) directorytest.Store {
		s := store{cfg: cfg}
		if strings.HasSuffix(t.Name(), "/flush") {
			own, flush := fresh(t)
			own.Keep, own.EntryTTL = cfg.Keep, cfg.EntryTTL
			return store{own, flush}
		}
		s.cfg.Prefix = "sluice:" + t.Name()
		return s
	})
}

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("single", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		contract(t, redisdir.Config{URL: "redis://" + s.Addr + "/1"}, func(t *testing.T) (redisdir.Config, func()) {
			s := redistest.Start(t)
			return redisdir.Config{URL: "redis://" + s.Addr}, func() { s.Do("flushall") }
		})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		n := redistest.Cluster(t)
		url := "redis+cluster://" + n.Servers[0].Addr
		contract(t, redisdir.Config{URL: url}, func(t *testing.T) (redisdir.Config, func()) {
			n := redistest.Cluster(t)
			return redisdir.Config{URL: "redis+cluster://" + n.Servers[0].Addr + "," + n.Servers[1].Addr}, func() {
				for _, s := range n.Servers {
					s.Do("flushall")
				}
			}
		})
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		w := redistest.Sentinel(t, 1)
		url := fmt.Sprintf("redis+sentinel://%s,%s/%s", w.Sentinels[0].Addr, w.Sentinels[1].Addr, w.Name)
		contract(t, redisdir.Config{URL: url}, func(t *testing.T) (redisdir.Config, func()) {
			w := redistest.Sentinel(t, 1)
			url := fmt.Sprintf("redis+sentinel://%s/%s", w.Sentinels[0].Addr, w.Name)
			return redisdir.Config{URL: url}, func() { w.Primary().Do("flushall") }
		})
	})
}

// A user needs no more rights than the package's documentation says.
func TestUser(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rights, _ := strings.Cut(string(text), "ACL SETUSER")
	_, rights, _ = strings.Cut(rights, "//\n")
	rights, _, _ = strings.Cut(strings.NewReplacer("PREFIX", "sluice", "//", "").Replace(rights), "package")
	s := redistest.WithUser(t, "sluice", "p@ss:w/rd", strings.Fields("-@all "+rights)...)
	d := connect(t, redisdir.Config{URL: "redis://sluice:p%40ss%3Aw%2Frd@" + s.Addr})
	use(t, d)
	d = connect(t, redisdir.Config{URL: "redis://sluice@" + s.Addr, PasswordFile: file(t, "p@ss:w/rd\n")})
	use(t, d)
	d = connect(t, redisdir.Config{URL: "redis://sluice:wrong@" + s.Addr})
	_, err = d.Get(t.Context(), "room/1")
	if d.State().Up || err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("with a wrong password: %+v, %v", d.State(), err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, ca := certstest.New(t).Files(t, "127.0.0.1")
	s := redistest.WithTLS(t, cert, key, ca)
	use(t, connect(t, redisdir.Config{URL: "rediss://" + s.Addr, CAFile: ca}))
	d := connect(t, redisdir.Config{URL: "rediss://" + s.Addr})
	if d.State().Up {
		t.Error("a certificate of an unknown authority was accepted")
	}
}

// file writes a file and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := t.TempDir() + "/file"
	certstest.Write(t, path, []byte(text))
	return path
}

// use calls each kind of method once, and sees a change.
func use(t *testing.T, d *redisdir.Directory) {
	t.Helper()
	await(t, "up", func() bool { return d.State().Up })
	row, err := d.Claim(t.Context(), "room/1", "a", time.Minute, []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "room/1", "a", row.Epoch, row.Version, nil); err != nil {
		t.Error(err)
	}
	if rows, err := d.List(t.Context(), "room/"); err != nil || len(rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
	sets := []directory.Set{{Kind: directory.UID, Name: "anna"}}
	if _, err := d.Enter(t.Context(), directory.Member{Gateway: 1}, sets); err != nil {
		t.Error(err)
	}
	if found, err := d.Locate(t.Context(), directory.Reader{}, time.Second, sets); err != nil || len(found[0]) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	if err := d.Leave(t.Context(), directory.Member{Gateway: 1}, sets); err != nil {
		t.Error(err)
	}
	if err := d.Release(t.Context(), "room/1", "a", row.Epoch); err != nil {
		t.Error(err)
	}
}
