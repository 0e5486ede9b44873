package memcachedstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/memcachedtest"
	"github.com/seed-7410fe32/sluice/internal/validtest"
	"github.com/seed-7410fe32/sluice/worker/store"
	"github.com/seed-7410fe32/sluice/worker/store/internal/contract"
)

// patience is a Timeout for tests that are not about it, on a machine that is busy.
const patience = 20 * time.Second

func open(t testing.TB, cfg Config, servers ...*memcachedtest.Server) *Store {
	t.Helper()
	for _, server := range servers {
		cfg.Servers = append(cfg.Servers, server.Addr)
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, patience)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n, " servers"), func(t *testing.T) {
			t.Parallel()
			var servers []*memcachedtest.Server
			for range n {
				servers = append(servers, memcachedtest.Start(t))
			}
			contract.Test(t, func(t testing.TB) (stores []store.Store) {
				for range 3 {
					stores = append(stores, open(t, Config{TTL: contract.Most}, servers...))
				}
				return stores
			})
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	validtest.Negative(t, Config{Servers: []string{"a:1"}}, func(cfg Config) error {
		s, err := New(cfg)
		if err == nil {
			s.Close()
		}
		return err
	})
	for field, cfg := range map[string]Config{
		"Servers: must not be empty":   {},
		"Servers: \"a\"":               {Servers: []string{"a"}},
		"Servers: a:1 is there twice":  {Servers: []string{"a:1", "b:1", "a:1"}},
		"Prefix: \"a b\"":              {Servers: []string{"a:1"}, Prefix: "a b"},
		"Prefix: \"" + long(65) + "\"": {Servers: []string{"a:1"}, Prefix: long(65)},
		"TTL: 672h0m1s":                {Servers: []string{"a:1"}, TTL: store.MaxTTL + time.Second},
		"MaxConns: 1025":               {Servers: []string{"a:1"}, MaxConns: 1025},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s: error %v", field, err)
		}
	}
}

func long(n int) string { return strings.Repeat("p", n) }

// Stores with different prefixes do not see each other's keys, and keys are readable in the server.
func TestPrefix(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	for _, prefix := range []string{"", "a/", "b/", long(64)} {
		s := open(t, Config{Prefix: prefix}, server)
		key := strings.Repeat("k", store.MaxKey)
		for _, key := range []string{"room", key} {
			if added, err := s.Add(t.Context(), key, []byte("v"), 0); !added || err != nil {
				t.Errorf("prefix %q, key %.10q: %v, %v", prefix, key, added, err)
			}
		}
		if line := server.Do("get " + cmp.Or(prefix, "sluice:") + "room"); !strings.HasPrefix(line, "VALUE ") {
			t.Errorf("prefix %q: the server says %q", prefix, line)
		}
	}
}

// Whatever other programs have written can be read: memcached has no form of values of its own.
func TestValuesOfOtherPrograms(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := open(t, Config{Prefix: "php:"}, server)
	if line := server.Do("set php:k 7 0 5\r\nhello"); line != "STORED" {
		t.Fatal(line)
	}
	value, v, err := s.Get(t.Context(), "k")
	if string(value) != "hello" || v == 0 || err != nil {
		t.Errorf("%q, %d, %v", value, v, err)
	}
}

// await asks until the store answers as wanted.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never happens that ", what)
		}
	}
}

// A server that is killed or stands still costs a few calls their time, and further ones nothing.
// It is used again when it is back. Its keys are unavailable meanwhile; others are not.
func TestAServerIsAway(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		begin, end func(*memcachedtest.Server)
		keeps      bool // the values
	}{
		"killed":       {(*memcachedtest.Server).Kill, (*memcachedtest.Server).Restart, false},
		"stands still": {(*memcachedtest.Server).Pause, (*memcachedtest.Server).Resume, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := []*memcachedtest.Server{memcachedtest.Start(t), memcachedtest.Start(t), memcachedtest.Start(t)}
			const timeout = 500 * time.Millisecond
			s := open(t, Config{Timeout: timeout}, servers...)
			var mine, others []string // keys of the server that fails, and of the others
			for i := range 60 {
				key := fmt.Sprint("k", i)
				await(t, "a value is set", func() bool { return s.Set(t.Context(), key, []byte(key), 0) == nil })
				if s.serverOf(wireKey("sluice:", key)).addr == servers[1].Addr {
					mine = append(mine, key)
				} else {
					others = append(others, key)
				}
			}
			fault.begin(servers[1])
			began := time.Now()
			for range 200 {
				err := s.Set(t.Context(), mine[0], []byte("new"), 0)
				if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), servers[1].Addr) {
					t.Fatalf("%v, want ErrUnavailable with the address", err)
				}
			}
			if took := time.Since(began); took > 30*timeout {
				t.Errorf("200 calls took %v", took)
			}
			st := s.Stats().Servers[1]
			if !st.Away || st.Failures < 3 || st.Rejected < 100 || st.Addr != servers[1].Addr {
				t.Errorf("%+v", st)
			}
			if st := s.Stats().Servers[0]; st.Away || st.Rejected > 0 {
				t.Errorf("another one: %+v", st)
			}
			for _, key := range others {
				if got, _, err := s.Get(t.Context(), key); err != nil || string(got) != key {
					t.Errorf("a key of another server: %q, %v", got, err)
				}
			}
			got, err := s.GetMany(t.Context(), append(mine, others...)...)
			if !errors.Is(err, store.ErrUnavailable) || len(got) != len(others) {
				t.Errorf("%d of %d values, %v; want those of the others, and ErrUnavailable", len(got), len(others), err)
			}
			if done, err := store.Once(t.Context(), s, mine[1], func() error {
				t.Error("the effect happens without the store")
				return nil
			}); done || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Once: %v, %v", done, err)
			}
			h := store.History{Store: s}
			if err := h.Append(t.Context(), mine[2], nil); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Append: %v", err)
			}
			fault.end(servers[1])
			await(t, "the server is back", func() bool {
				_, _, err := s.Get(t.Context(), mine[3])
				return err == nil
			})
			for _, key := range mine[3:] {
				if got, _, err := s.Get(t.Context(), key); err != nil || (string(got) == key) != fault.keeps {
					t.Errorf("then: %q, %v", got, err)
				}
			}
			if s.Stats().Servers[1].Away {
				t.Error("it is still away")
			}
		})
	}
}

// A store is usable when its server comes later.
func TestTheServerComesLater(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	server.Kill()
	s := open(t, Config{}, server)
	if _, _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	server.Restart()
	await(t, "a value is set", func() bool { return s.Set(t.Context(), "k", nil, 0) == nil })
}

// After a restart no call fails whose repetition changes nothing, though all connections are dead.
func TestARestartBetweenCalls(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := open(t, Config{}, server)
	var wg sync.WaitGroup
	for range 50 { // opens connections
		wg.Go(func() { _ = s.Set(t.Context(), "k", nil, 0) })
	}
	wg.Wait()
	server.Kill()
	server.Restart()
	for range 20 {
		if err := s.Set(t.Context(), "k", nil, 0); err != nil {
			t.Error(err)
		}
	}
}

// A call that is given up returns at once, and its connection serves others later.
func TestACallIsGivenUp(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := open(t, Config{MaxConns: 2, Timeout: time.Second}, server)
	server.Pause()
	began := time.Now()
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if err := s.Set(ctx, "k", nil, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the error of the context", err)
		}
		cancel()
	}
	took := time.Since(began)
	if st := s.Stats().Servers[0]; st.Failures > 0 || st.Away {
		t.Errorf("%+v, %v: the server is not to blame", st, took)
	}
	server.Resume()
	await(t, "the connections are free again", func() bool { return s.Set(t.Context(), "k", nil, 0) == nil })
}

// A server without room for more says so, or evicts.
func TestAServerIsFull(t *testing.T) {
	t.Parallel()
	fill := func(t *testing.T, s *Store) error {
		for i := range 300 {
			if err := s.Set(t.Context(), fmt.Sprint("k", i), make([]byte, 500_000), 0); err != nil {
				return err
			}
		}
		return nil
	}
	t.Run("without evictions", func(t *testing.T) {
		t.Parallel()
		s := open(t, Config{}, memcachedtest.Start(t, "-m", "16", "-M"))
		if err := fill(t, s); !errors.Is(err, store.ErrFull) {
			t.Errorf("%v, want ErrFull", err)
		}
		if st := s.Stats().Servers[0]; st.Failures > 0 {
			t.Errorf("%+v: the server works", st)
		}
		if _, _, err := s.Get(t.Context(), "k0"); err != nil {
			t.Error(err)
		}
	})
	t.Run("with evictions", func(t *testing.T) {
		t.Parallel()
		s := open(t, Config{}, memcachedtest.Start(t, "-m", "16"))
		if err := fill(t, s); err != nil {
			t.Fatal(err)
		}
		first, _, err := s.Get(t.Context(), "k0")
		if err != nil || first != nil {
			t.Errorf("the first value: %d bytes, %v; want that it is gone", len(first), err)
		}
		if last, _, err := s.Get(t.Context(), "k299"); err != nil || last == nil {
			t.Errorf("the last value: %v", err)
		}
	})
}

// A server may take less than MaxValue. A history then keeps what fits.
func TestAServerTakesLess(t *testing.T) {
	t.Parallel()
	s := open(t, Config{}, memcachedtest.Start(t, "-I", "512k"))
	if err := s.Set(t.Context(), "k", make([]byte, 700_000), 0); !errors.Is(err, store.ErrTooBig) {
		t.Errorf("%v, want ErrTooBig", err)
	}
	h := store.History{Store: s, MaxBytes: 1 << 20}
	for i := range 30 {
		if err := h.Append(t.Context(), "h", fmt.Appendf(nil, "%050000d", i)); err != nil {
			t.Fatal(err)
		}
	}
	items, err := h.Items(t.Context(), "h")
	if err != nil || len(items) < 10 || !strings.HasSuffix(string(items[len(items)-1]), "29") {
		t.Errorf("%d items, %v", len(items), err)
	}
}

// Whoever closes a store while others use it ends with no connection left; leaktest looks.
func TestClose(t *testing.T) {
	t.Parallel()
	s := open(t, Config{}, memcachedtest.Start(t))
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
}

func BenchmarkStore(b *testing.B) {
	s := open(b, Config{}, memcachedtest.Start(b))
	value := make([]byte, 512)
	for name, f := range map[string]func(key string) error{
		"set": func(key string) error { return s.Set(context.Background(), key, value, 0) },
		"get": func(key string) error {
			_, _, err := s.Get(context.Background(), key)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(16)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := f("k"); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
