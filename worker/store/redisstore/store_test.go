package redisstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/internal/redistest"
	"github.com/seed-7410fe32/sluice/internal/validtest"
	"github.com/seed-7410fe32/sluice/worker/store"
	"github.com/seed-7410fe32/sluice/worker/store/internal/contract"
)

// patience is a Timeout for tests that are not about it, on a machine that is busy.
const patience = 20 * time.Second

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	cfg.Timeout = cmp.Or(cfg.Timeout, patience)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func at(s *redistest.Server) string { return "redis://" + s.Addr }

func node(s *redistest.Server) string { return "redis+cluster://" + s.Addr }

// await asks until the store answers as wanted.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never happens that ", what)
		}
	}
}

// works checks that values can be set and read.
func works(t *testing.T, s *Store) {
	t.Helper()
	for i := range 20 {
		key := fmt.Sprint(t.Name(), i)
		if err := s.Set(t.Context(), key, []byte(key), 0); err != nil {
			t.Fatal(err)
		}
		if got, _, err := s.Get(t.Context(), key); err != nil || string(got) != key {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

func keepsContract(t *testing.T, url string) {
	contract.Test(t, func(t testing.TB) (stores []store.Store) {
		for range 3 {
			stores = append(stores, open(t, Config{URL: url, TTL: contract.Most}))
		}
		return stores
	})
}

func TestSingle(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	keepsContract(t, at(server))
}

func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := redistest.Cluster(t)
	keepsContract(t, node(nodes.Servers[1]))
}

// A slot moves to another node of the Cluster while values are counted in it.
func TestASlotMoves(t *testing.T) {
	t.Parallel()
	nodes := redistest.Cluster(t)
	s := open(t, Config{URL: node(nodes.Servers[0])})
	count := func(n int) {
		t.Helper()
		for range n {
			if _, err := s.Increment(t.Context(), "k", 1, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	count(3)
	from, slot := nodes.Owner("sluice:store:k")
	to := (from + 1) % 3
	nodes.Begin(slot, from, to)
	count(3)
	if _, err := s.Add(t.Context(), "k", nil, 0); err != nil {
		t.Fatal(err)
	}
	nodes.Finish(slot, from, to)
	count(3)
	if got, _, err := s.Get(t.Context(), "k"); err != nil || string(got) != "9" {
		t.Errorf("%q, %v; want 9", got, err)
	}
}

// A node of a Cluster that is away has its keys with it, and no others.
func TestANodeIsAway(t *testing.T) {
	t.Parallel()
	nodes := redistest.Cluster(t)
	for _, n := range nodes.Servers { // so that the other two serve their slots
		n.Do("config", "set", "cluster-require-full-coverage", "no")
	}
	s := open(t, Config{URL: node(nodes.Servers[0]), Timeout: 2 * time.Second})
	var keys, others []string
	for i := range 30 {
		key := fmt.Sprint("k", i)
		await(t, "a value is set", func() bool { return s.Set(t.Context(), key, nil, 0) == nil })
		if node, _ := nodes.Owner("sluice:store:" + key); node != 2 {
			others = append(others, key)
		}
		keys = append(keys, key)
	}
	nodes.Servers[2].Kill()
	await(t, "the others answer, and the one that is away does not", func() bool {
		got, err := s.GetMany(t.Context(), keys...)
		return errors.Is(err, store.ErrUnavailable) && len(got) == len(others)
	})
	await(t, "the others answer", func() bool {
		got, err := s.GetMany(t.Context(), others...)
		return err == nil && len(got) == len(others)
	})
}

// A fail-over takes seconds, and then the store works with the new primary.
func TestSentinel(t *testing.T) {
	t.Parallel()
	w := redistest.Sentinel(t, 1)
	var sentinels []string
	for _, s := range w.Sentinels {
		sentinels = append(sentinels, s.Addr)
	}
	s := open(t, Config{
		URL: fmt.Sprintf("redis+sentinel://%s/%s", strings.Join(sentinels, ","), w.Name),
	})
	works(t, s)
	if err := s.Set(t.Context(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	first := w.Primary()
	w.Servers[1].Await("1", "exists", "sluice:store:k")
	first.Kill()
	w.AwaitPrimary(first)
	await(t, "the new primary is used", func() bool { return s.Set(t.Context(), "other", nil, 0) == nil })
	works(t, s)
	if got, _, err := s.Get(t.Context(), "k"); err != nil || string(got) != "v" {
		t.Errorf("%q, %v; want what was set before", got, err)
	}
}

// A user needs no more than the package says.
func TestUser(t *testing.T) {
	t.Parallel()
	server := redistest.WithUser(t, "worker", "p@ss/word", "~sluice:store:*", "-@all", "+get", "+set", "+del",
		"+getrange", "+eval", "+evalsha", "+hello", "+auth", "+ping", "+client")
	keepsContract(t, "redis://worker:p%40ss%2Fword@"+server.Addr)
	s := open(t, Config{URL: "redis://worker:wrong@" + server.Addr})
	_, _, err := s.Get(t.Context(), "k")
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "WRONGPASS") ||
		strings.Contains(err.Error(), "wrong@") {
		t.Errorf("%v, want ErrUnavailable, with the reason and without the password", err)
	}
	s = open(t, Config{URL: "redis://worker:p%40ss%2Fword@" + server.Addr, Prefix: "other:"})
	if _, _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) ||
		!strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("%v, want ErrUnavailable, with the reason", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, ca := certstest.New(t).Files(t, "127.0.0.1")
	server := redistest.WithTLS(t, cert, key, ca)
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	works(t, open(t, Config{URL: "rediss://" + server.Addr, TLS: &tls.Config{RootCAs: roots}}))
	_, _, err = open(t, Config{URL: "rediss://" + server.Addr}).Get(t.Context(), "k")
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v, want ErrUnavailable with the reason", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	validtest.Negative(t, Config{URL: "redis://a:1"}, func(cfg Config) error {
		s, err := New(cfg)
		if err == nil {
			s.Close()
		}
		return err
	})
	for field, cfg := range map[string]Config{
		"URL":    {URL: "http://a"},
		"Prefix": {URL: "redis://a", Prefix: "{a}"},
		"TTL":    {URL: "redis://a", TTL: store.MaxTTL + 1},
		"TLS":    {URL: "redis://a", TLS: &tls.Config{}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s: error %v", field, err)
		}
	}
	if _, err := New(Config{URL: "redis://a", Prefix: strings.Repeat("p", 65)}); err == nil {
		t.Error("a prefix of 65 bytes is accepted")
	}
}

// What another program has written is not taken for a value, and not changed.
func TestValuesOfOtherPrograms(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, Config{URL: at(server), Prefix: "p:"})
	server.Do("set", "p:text", "12345678901")
	server.Do("set", "p:short", "1")
	server.Do("set", "p:empty", "")
	server.Do("rpush", "p:list", "1")
	for _, key := range []string{"text", "short", "empty", "list"} {
		_, _, get := s.Get(t.Context(), key)
		got, many := s.GetMany(t.Context(), key, "none")
		_, add := s.Increment(t.Context(), key, 1, 0)
		for method, err := range map[string]error{"Get": get, "GetMany": many, "Increment": add} {
			if !errors.Is(err, store.ErrForeign) {
				t.Errorf("%s of %s: %v, want ErrForeign", method, key, err)
			}
		}
		if len(got) > 0 {
			t.Errorf("GetMany of %s: %q", key, got)
		}
		if set, _ := s.CompareAndSet(t.Context(), key, 1, nil, 0); set {
			t.Errorf("%s is compared and set", key)
		}
		if added, err := s.Add(t.Context(), key, nil, 0); added || err != nil {
			t.Errorf("Add of %s: %v, %v", key, added, err)
		}
	}
	if got := server.Do("get", "p:text") + server.Do("get", "p:short"); got != "123456789011" {
		t.Errorf("then the values are %s", got)
	}
}

// A server that is killed or stands still costs a few calls their time, and further ones nothing.
// It is used again when it is back.
func TestTheServerIsAway(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		begin, end func(*redistest.Server)
		keeps      bool // the values
	}{
		"killed":       {(*redistest.Server).Kill, (*redistest.Server).Restart, false},
		"stands still": {(*redistest.Server).Pause, (*redistest.Server).Resume, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			const timeout = 500 * time.Millisecond
			s := open(t, Config{URL: at(server), Timeout: timeout})
			await(t, "a value is set", func() bool { return s.Set(t.Context(), "k", []byte("v"), 0) == nil })
			fault.begin(server)
			await(t, "the signal has arrived", func() bool { return s.Set(t.Context(), "other", nil, 0) != nil })
			began := time.Now()
			for range 200 {
				err := s.Set(t.Context(), "k", []byte("new"), 0)
				if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), server.Addr) {
					t.Fatalf("%v, want ErrUnavailable with the address", err)
				}
			}
			if took := time.Since(began); took > 30*timeout {
				t.Errorf("200 calls took %v", took)
			}
			if st := s.Stats(); !st.Away || st.Failures < 3 || st.Rejected < 100 {
				t.Errorf("%+v", st)
			}
			if done, err := store.Once(t.Context(), s, "once", func() error {
				t.Error("the effect happens without the store")
				return nil
			}); done || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Once: %v, %v", done, err)
			}
			h := store.History{Store: s}
			if err := h.Append(t.Context(), "h", nil); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Append: %v", err)
			}
			fault.end(server)
			await(t, "the server is back", func() bool {
				_, _, err := s.Get(t.Context(), "k")
				return err == nil
			})
			if _, v, err := s.Get(t.Context(), "k"); err != nil || (v != 0) != fault.keeps {
				t.Errorf("then version %d, %v", v, err)
			}
			works(t, s)
			if s.Stats().Away {
				t.Error("it is still away")
			}
		})
	}
}

// The effect of a Once whose store goes away meanwhile has happened, and its error says that nobody
// may know.
func TestTheServerGoesAwayInOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, Config{URL: at(server), Timeout: time.Second})
	works(t, s)
	done, err := store.Once(t.Context(), s, "k", func() error {
		server.Kill()
		return nil
	})
	if !done || !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "could not be recorded") {
		t.Errorf("%v, %v", done, err)
	}
	broken := errors.New("the bank is closed")
	server.Restart()
	await(t, "the server is back", func() bool { return s.Set(t.Context(), "other", nil, 0) == nil })
	done, err = store.Once(t.Context(), s, "k", func() error {
		server.Kill()
		return broken
	})
	if done || !errors.Is(err, broken) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an effect that fails: %v, %v", done, err)
	}
}

// Several workers count in one key while the server stands still now and then. What they were told
// is true: each sum that was returned is unique, and the last one is at least their number.
func TestCountersWhileTheServerStandsStill(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for range 3 {
		s := open(t, Config{URL: at(server), Timeout: 100 * time.Millisecond})
		wg.Go(func() {
			for stop.Err() == nil {
				n, err := s.Increment(t.Context(), "k", 1, 0)
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				mu.Lock()
				if seen[n] {
					t.Errorf("%d twice", n)
				}
				seen[n] = true
				mu.Unlock()
			}
		})
	}
	counted := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
	for range 3 {
		before := counted()
		await(t, "they count", func() bool { return counted() > before+20 })
		server.Pause()
		time.Sleep(300 * time.Millisecond) // longer than their Timeout; nothing is expected to happen by then
		server.Resume()
	}
	cancel()
	wg.Wait()
	s := open(t, Config{URL: at(server)})
	if n, err := s.Increment(t.Context(), "k", 0, 0); err != nil || n < uint64(counted()) {
		t.Errorf("%d, %v, after %d sums", n, err, counted())
	}
}

// A store is usable when its server comes later.
func TestTheServerComesLater(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	s := open(t, Config{URL: at(server)})
	if _, _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	server.Restart()
	await(t, "a value is set", func() bool { return s.Set(t.Context(), "k", nil, 0) == nil })
}

// A server that has forgotten the scripts gets them again.
func TestScriptsAreForgotten(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, Config{URL: at(server)})
	for range 2 {
		if _, err := s.Increment(t.Context(), "k", 1, 0); err != nil {
			t.Error(err)
		}
		server.Do("script", "flush")
	}
}

// A call that is given up returns at once.
func TestACallIsGivenUp(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, Config{URL: at(server)})
	works(t, s)
	server.Pause()
	defer server.Resume()
	await(t, "the server stands still", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return errors.Is(s.Set(ctx, "k", nil, 0), context.DeadlineExceeded)
	})
	began := time.Now()
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if err := s.Set(ctx, "k", nil, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the error of the context", err)
		}
		cancel()
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("five calls took %v", took)
	}
	if st := s.Stats(); st.Failures > 0 || st.Away {
		t.Errorf("%+v: the server is not to blame", st)
	}
	server.Resume()
	works(t, s)
}

// A server without room for more says so, or evicts.
func TestTheServerIsFull(t *testing.T) {
	t.Parallel()
	for policy, full := range map[string]bool{"noeviction": true, "allkeys-lru": false} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--maxmemory", "20mb", "--maxmemory-policy", policy)
			s := open(t, Config{URL: at(server)})
			var err error
			for i := 0; i < 100 && err == nil; i++ {
				err = s.Set(t.Context(), fmt.Sprint("k", i), make([]byte, 500_000), 0)
			}
			if errors.Is(err, store.ErrFull) != full || !full && err != nil {
				t.Errorf("%v", err)
			}
			_, v, err := s.Get(t.Context(), "k0")
			if err != nil || (v != 0) != full {
				t.Errorf("the first value: version %d, %v", v, err)
			}
			if _, err := s.CompareAndSet(t.Context(), "k0", v, make([]byte, 500_000), 0); errors.Is(err, store.ErrFull) != full {
				t.Errorf("CompareAndSet: %v", err)
			}
			if _, err := s.Increment(t.Context(), "n", 1, 0); errors.Is(err, store.ErrFull) != full {
				t.Errorf("Increment: %v", err)
			}
			if st := s.Stats(); st.Failures > 0 {
				t.Errorf("%+v: the server works", st)
			}
			if err := s.Delete(t.Context(), "k0", "k1", "k2"); err != nil {
				t.Error(err)
			}
			await(t, "there is room", func() bool { return s.Set(t.Context(), "k", nil, 0) == nil })
		})
	}
}

// Whoever closes a store while others use it ends with no connection left; leaktest looks.
func TestClose(t *testing.T) {
	t.Parallel()
	s := open(t, Config{URL: at(redistest.Start(t))})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for {
				if err := s.Set(t.Context(), "k", nil, 0); err != nil {
					if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "closed") {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	await(t, "a value is set", func() bool { _, v, _ := s.Get(t.Context(), "k"); return v != 0 })
	s.Close()
	s.Close()
	wg.Wait()
	open(t, Config{URL: "redis://127.0.0.1:1"}).Close() // one that has never connected
}

func BenchmarkStore(b *testing.B) {
	s := open(b, Config{URL: at(redistest.Start(b))})
	value := make([]byte, 512)
	h := store.History{Store: s}
	for name, f := range map[string]func(key string) error{
		"set": func(key string) error { return s.Set(context.Background(), key, value, 0) },
		"get": func(key string) error {
			_, _, err := s.Get(context.Background(), key)
			return err
		},
		"append": func(key string) error { return h.Append(context.Background(), key+"/h", value[:100]) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(16)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := f("k"); err != nil && !errors.Is(err, store.ErrConflict) {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
