package keep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		runChild(dir)
		return
	}
	leaktest.Main(m)
}

// opened opens a keeper that writes often, and closes it at the end of the test.
func opened(t *testing.T, dir string) *Keeper {
	t.Helper()
	k, err := Open(dir, Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// calls is a report of so many calls of m/i.
func calls(source byte, seq uint64, n int) *stats.Report {
	now := time.Now()
	r := &stats.Report{Source: [16]byte{source}, Seq: seq, Node: "n", From: now, To: now,
		Rows: []stats.Row{{Module: "m", Interface: "i"}}}
	for range n {
		r.Rows[0].Add(time.Millisecond, 0)
	}
	return r
}

// count returns the calls that are kept.
func count(t *testing.T, k *Keeper) (n uint64) {
	t.Helper()
	rows, _, _, err := k.Rows(t.Context(), Query{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		n += r.Count
	}
	return n
}

// Reports that wait share one write, and all of them are kept when Take returns: also in the file,
// when it is opened again. A report that comes again is not counted again, also after that.
func TestReportsAreKeptOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := opened(t, dir)
	for round := range 2 {
		began := time.Now()
		var all sync.WaitGroup
		for seq := uint64(1); seq <= 200; seq++ {
			all.Go(func() {
				if err := k.Take(t.Context(), calls(byte(seq%3), seq, 2)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("200 reports took %v: they do not share writes", took)
		}
		if n := count(t, k); n != 400 {
			t.Errorf("round %d: %d calls, want 400", round, n)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if err := k.Take(t.Context(), calls(1, 999, 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed keeper says %v", err)
		}
		k = opened(t, dir)
		if n := count(t, k); n != 400 {
			t.Errorf("round %d: %d calls after it was opened again, want 400", round, n)
		}
	}
	if s := k.Stats(); s.Sources != 3 || s.Pairs != 1 || s.Rows < 2 || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
	if nodes := k.Nodes(); len(nodes) != 1 || nodes[0].Name != "n" || nodes[0].Reports != 200 {
		t.Errorf("%+v", nodes)
	}
}

// A keeper in memory answers like one in a file.
func TestMemory(t *testing.T) {
	t.Parallel()
	k, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Close() }()
	for range 2 {
		if err := k.Take(t.Context(), calls(1, 1, 5)); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, k); n != 5 || k.Path() != "" || k.Stats().Bytes == 0 {
		t.Errorf("%d calls, path %q, %+v", n, k.Path(), k.Stats())
	}
}

// A caller that does not wait any more leaves, and the report may be kept nevertheless.
func TestTakeEnds(t *testing.T) {
	t.Parallel()
	k := opened(t, t.TempDir())
	if err := k.Take(t.Context(), calls(1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Take(ctx, calls(1, 2, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Limits that are not possible are refused.
func TestConfig(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 1, MinBytes - 1} {
		if k, err := Open(t.TempDir(), Config{MaxBytes: n}); err == nil || !strings.Contains(err.Error(), "MaxBytes") {
			t.Errorf("%d: %v, %v", n, k, err)
		}
		if k, err := New(Config{MaxBytes: n}); err == nil || !strings.Contains(err.Error(), "MaxBytes") {
			t.Errorf("%d: %v, %v", n, k, err)
		}
	}
}

// A file in use, a folder in its place, a folder that cannot be made and a file of a later version
// are errors that say so. None of them is taken for damage.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	used := t.TempDir()
	k := opened(t, used)
	if err := k.Take(t.Context(), calls(1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, fileName), 0o700); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	later := t.TempDir()
	s, err := kv.Open(kv.Config{Path: filepath.Join(later, fileName), Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(t kv.Tx) error { t.Put([]byte{keyVersion}, []byte("2")); return nil })
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for dir, says := range map[string]string{
		used: "in use by another process", folder: "directory", plain: "not a directory", later: `version "2"`,
	} {
		if k, err := Open(dir, Config{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v, want an error with %q", dir, k, err, says)
		}
		if _, err := os.Stat(filepath.Join(dir, fileName+".damaged")); err == nil {
			t.Errorf("%s was moved aside", dir)
		}
	}
}

// A file that was cut off or overwritten is moved aside, which the log says, or its queries return
// errors. Nothing panics, no fault ends the process, and reports are kept again.
func TestDamage(t *testing.T) {
	t.Parallel()
	whole := t.TempDir()
	k := opened(t, whole)
	var all sync.WaitGroup
	for seq := uint64(1); seq <= 100; seq++ {
		all.Go(func() {
			r := calls(byte(seq), seq, 3)
			r.Rows[0].Interface = fmt.Sprint("interface ", seq)
			r.Failures = []stats.Failure{{
				Time: time.Now(), Module: "m", Interface: "i", Code: 1, Text: strings.Repeat("x", 200),
			}}
			if err := k.Take(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(whole, fileName))
	if err != nil {
		t.Fatal(err)
	}
	random, moved := rand.New(rand.NewPCG(1, 2)), 0
	for i := range 40 {
		dir, log := t.TempDir(), new(strings.Builder)
		bad, name := damage(random, b, i), filepath.Join(dir, fileName)
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := Open(dir, Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		aside, err := os.ReadFile(name + ".damaged")
		if err == nil {
			moved++
			const says = "level=ERROR msg=\"the statistics are damaged"
			if string(aside) != string(bad) || !strings.Contains(log.String(), says) {
				t.Errorf("%d: the old file has %d of %d bytes, the log %q", i, len(aside), len(bad), log)
			}
			if err := k.Take(t.Context(), calls(200, 1, 7)); err != nil || count(t, k) != 7 {
				t.Errorf("%d: %v, %d calls", i, err, count(t, k))
			}
		} else { // an error is as good as an answer
			_ = k.Take(t.Context(), calls(200, 1, 7))
			_, _, _, _ = k.Rows(t.Context(), Query{From: time.Now().Add(-time.Hour), To: time.Now()})
			_, _ = k.Failures(t.Context(), FailureQuery{Query: Query{To: time.Now()}})
		}
		_ = k.Close()
	}
	t.Logf("%d of 40 damaged files were moved aside", moved)
	if moved < 20 {
		t.Errorf("%d of 40 damaged files were moved aside", moved)
	}
}

// damage returns a copy of a file that is cut off, or has a page of noise, or is no database.
func damage(random *rand.Rand, whole []byte, i int) []byte {
	const page = 4096
	bad := append([]byte(nil), whole...)
	switch i % 3 {
	case 0:
		return bad[:2*page+random.IntN(len(bad)-2*page)]
	case 1:
		at := 2*page + random.IntN(len(bad)-3*page)
		for j := range page {
			bad[at+j] = byte(random.Uint32())
		}
		return bad
	}
	return []byte(strings.Repeat("text", 5000))
}
