package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/internal/validtest"
)

var _ Store = (*Memory)(nil)

func newStore(t testing.TB, cfg MemoryConfig) *Memory {
	t.Helper()
	m, err := NewMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func set(t testing.TB, s Store, key, value string) {
	t.Helper()
	if err := s.Set(t.Context(), key, []byte(value), 0); err != nil {
		t.Fatalf("Set %.20q: %v", key, err)
	}
}

// want checks the value of key; "-" means that there is none.
func want(t testing.TB, s Store, key, value string) {
	t.Helper()
	got, v, err := s.Get(t.Context(), key)
	if err != nil || (v != 0) != (value != "-") || v != 0 && string(got) != value {
		t.Fatalf("Get %.20q = %.20q, version %d, %v; want %.20q", key, got, v, err, value)
	}
}

func TestMemoryConfig(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]MemoryConfig{
		"Shards":   {Shards: 3},
		"MaxBytes": {MaxBytes: 1 << 20},
	} {
		if _, err := NewMemory(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v", field, err)
		}
	}
	validtest.Negative(t, MemoryConfig{}, func(cfg MemoryConfig) error {
		_, err := NewMemory(cfg)
		return err
	})
	validtest.Negative(t, History{Store: newStore(t, MemoryConfig{})}, func(h History) error {
		return h.Append(t.Context(), "k", []byte("v"))
	})
	for _, cfg := range []MemoryConfig{{Shards: 1024, MaxBytes: 2 << 20}, {Shards: -2}, {Shards: 1 << 17}} {
		if _, err := NewMemory(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

func TestMemoryKeysAndValues(t *testing.T) {
	t.Parallel()
	m := newStore(t, MemoryConfig{})
	for _, key := range []string{"k", "\x00", strings.Repeat("k", 250)} {
		for _, size := range []int{0, 1, 11, 30, 31, 32, 33, 1000, m.MaxValue(key)} {
			set(t, m, key, strings.Repeat("v", size))
			want(t, m, key, strings.Repeat("v", size))
		}
		if err := m.Set(t.Context(), key, make([]byte, m.MaxValue(key)+1), 0); !errors.Is(err, ErrTooBig) {
			t.Errorf("a value beyond MaxValue: %v, want ErrTooBig", err)
		}
		want(t, m, key, strings.Repeat("v", m.MaxValue(key))) // as it was
	}
	if st := m.Stats(); st.Refused != 3 || st.NoSpace != 0 {
		t.Errorf("%+v, want 3 refused and nothing evicted for them", st)
	}
}

// With bigcache alone, B's Set and Delete would remove A or do worse.
func TestMemoryCollision(t *testing.T) {
	t.Parallel()
	for _, hash := range []uint64{0, 1, 64} {
		m, err := newMemory(MemoryConfig{}, func(string) uint64 { return hash })
		if err != nil {
			t.Fatal(err)
		}
		set(t, m, "a", "of a")
		want(t, m, "b", "-")
		if err := m.Delete(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		want(t, m, "a", "of a")
		err = Update(t.Context(), m, "b", 0, func(old []byte) ([]byte, error) {
			if old != nil {
				t.Errorf("Update of b sees %q", old)
			}
			return []byte("of b"), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want(t, m, "b", "of b")
		want(t, m, "a", "-") // a cache may forget; it must not mistake
	}
}

func TestMemoryTTLIsExact(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{time.Millisecond, 1500 * time.Millisecond, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			m := newStore(t, MemoryConfig{TTL: ttl, Shards: 1})
			set(t, m, "k", "v")
			time.Sleep(ttl - 1) // of the bubble's clock
			want(t, m, "k", "v")
			time.Sleep(time.Nanosecond)
			want(t, m, "k", "-")
			err := Update(t.Context(), m, "k", 0, func(old []byte) ([]byte, error) {
				if old != nil {
					t.Errorf("Update sees %q after its time", old)
				}
				return []byte("w"), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(ttl / 2)
			set(t, m, "k", "x") // its whole time again
			time.Sleep(ttl - 1)
			want(t, m, "k", "x")
			time.Sleep(1 + 3*time.Second)
			for range 4 { // each takes away one entry that is over, three of them k's
				set(t, m, "other", "v")
			}
			if st := m.Stats(); st.Expired != 1 || st.NoSpace != 0 || st.Entries != 1 {
				t.Errorf("%+v, want one expired and one here", st)
			}
		})
	}
}

func TestMemoryEvictionCauses(t *testing.T) {
	t.Parallel()
	m := newStore(t, MemoryConfig{Shards: 1, MaxBytes: 2 << 20})
	value := strings.Repeat("v", 1000)
	const n = 5000
	for i := range n {
		set(t, m, fmt.Sprint(i), value)
		want(t, m, "0", map[bool]string{true: value, false: "-"}[m.Stats().NoSpace == 0]) // reading keeps nothing
	}
	st := m.Stats()
	if st.Entries == 0 || int(st.NoSpace) != n-st.Entries || st.Expired+st.Deleted != 0 {
		t.Errorf("%+v, want %d entries here or gone for space", st, n)
	}
	want(t, m, fmt.Sprint(n-st.Entries), value) // the oldest that is here
	want(t, m, fmt.Sprint(n-st.Entries-1), "-")
	for range 2 {
		if err := m.Delete(t.Context(), fmt.Sprint(n-1)); err != nil {
			t.Fatal(err)
		}
	}
	want(t, m, fmt.Sprint(n-1), "-")
	after := m.Stats()
	if after.Deleted != 1 || after.Entries != st.Entries-1 || after.Hits == 0 || after.Misses == 0 {
		t.Errorf("%+v, want one deleted", after)
	}
}

// heap returns the size of the live heap.
func heap() int {
	runtime.GC()
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return int(ms.HeapAlloc)
}

func TestMemoryBound(t *testing.T) {
	const bound = 8 << 20
	for _, test := range []struct {
		name      string
		key       string
		size, n   int
		sometimes int // every tenth value has this size
	}{
		{"small", "%d", 0, 200_000, 0},
		{"middle", "session/%010d", 300, 60_000, 0},
		{"large", "%d", 6000, 5000, 0},
		{"mixed", "%d", 10, 100_000, 8000},
		{"one key", "k", 500, 50_000, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := heap()
			m := newStore(t, MemoryConfig{MaxBytes: bound})
			for i := range test.n {
				size := test.size
				if test.sometimes > 0 && i%10 == 0 {
					size = test.sometimes
				}
				key := test.key
				if strings.Contains(key, "%") {
					key = fmt.Sprintf(key, i)
				}
				if err := m.Set(context.Background(), key, make([]byte, size), 0); err != nil {
					t.Fatal(err)
				}
			}
			used := heap() - before
			st := m.Stats()
			t.Logf("%d KiB of %d KiB, %+v", used>>10, bound>>10, st)
			if used > bound {
				t.Errorf("%d bytes, bound %d", used, bound)
			}
			if st.Entries == 0 {
				t.Error("nothing kept")
			}
			runtime.KeepAlive(m)
		})
	}
}

func TestMemoryModel(t *testing.T) {
	t.Parallel()
	m := newStore(t, MemoryConfig{Shards: 4})
	model := map[string]string{}
	random := rand.New(rand.NewPCG(1, 2))
	value := func() string { return strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(200)) }
	errNo := errors.New("no")
	for step := range 50_000 {
		key := fmt.Sprint(random.IntN(300))
		old, has := model[key]
		switch random.IntN(6) {
		case 0, 1:
			v := value()
			set(t, m, key, v)
			model[key] = v
		case 2:
			if err := m.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			delete(model, key)
		case 3, 4:
			v, what := value(), random.IntN(3)
			err := Update(t.Context(), m, key, 0, func(got []byte) ([]byte, error) {
				if (got != nil) != has || string(got) != old {
					t.Fatalf("step %d: Update of %s sees %q, want %q", step, key, got, old)
				}
				return [][]byte{[]byte(v), nil, []byte(v)}[what], []error{nil, nil, errNo}[what]
			})
			switch {
			case what == 2 && errors.Is(err, errNo):
			case err != nil:
				t.Fatal(err)
			case what == 0:
				model[key] = v
			case what == 1:
				delete(model, key)
			}
		}
		expect := "-"
		if v, ok := model[key]; ok {
			expect = v
		}
		want(t, m, key, expect)
	}
	if st := m.Stats(); st.Entries != len(model) || st.NoSpace+st.Expired != 0 {
		t.Errorf("%+v, want %d entries", st, len(model))
	}
}

func TestMemoryConcurrentUpdates(t *testing.T) {
	t.Parallel()
	m := newStore(t, MemoryConfig{})
	const goroutines, rounds, keys = 8, 2000, 10
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range rounds {
				err := Update(t.Context(), m, fmt.Sprint("counter ", i%keys), 0, func(old []byte) ([]byte, error) {
					var n uint64
					if old != nil {
						n = binary.BigEndian.Uint64(old)
					}
					return binary.BigEndian.AppendUint64(nil, n+1), nil
				})
				if err != nil {
					t.Error(err)
				}
				// Other keys are set, read completely, and evicted.
				key := fmt.Sprint("noise ", (i+g)%50)
				v := bytes.Repeat([]byte{byte(g)}, 100+g)
				_ = m.Set(t.Context(), key, v, 0)
				if got, has, _ := m.Get(t.Context(), key); has != 0 && !bytes.Equal(got, bytes.Repeat(got[:1], 100+int(got[0]))) {
					t.Errorf("torn value %v", got)
				}
				if i%7 == 0 {
					_ = m.Delete(t.Context(), key)
				}
				_ = m.Stats()
			}
		})
	}
	wg.Wait()
	for k := range keys {
		got, _, _ := m.Get(t.Context(), fmt.Sprint("counter ", k))
		if n := binary.BigEndian.Uint64(got); n != goroutines*rounds/keys {
			t.Errorf("counter %d is %d, want %d", k, n, goroutines*rounds/keys)
		}
	}
}

func BenchmarkMemory(b *testing.B) {
	keys := make([]string, 1<<14)
	for i := range keys {
		keys[i] = fmt.Sprint("session/", i)
	}
	ctx := context.Background()
	for _, size := range []int{32, 512} {
		value := make([]byte, size)
		m := newStore(b, MemoryConfig{TTL: time.Hour})
		run := func(name string, f func(key string)) {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(p *testing.PB) {
					for i := rand.Int(); p.Next(); i++ {
						f(keys[i&(len(keys)-1)])
					}
				})
			})
		}
		run("set", func(key string) { _ = m.Set(ctx, key, value, 0) })
		run("get", func(key string) { _, _, _ = m.Get(ctx, key) })
		run("update", func(key string) {
			_ = Update(ctx, m, key, 0, func(old []byte) ([]byte, error) { return value, nil })
		})
	}
}
