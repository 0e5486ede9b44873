package redisdir_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/directory/redisdir"
	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/kv/kvtest"
	"github.com/seed-7410fe32/sluice/internal/redistest"
)

// What is kept keeps its contract in one server and in a Cluster.
func TestKept(t *testing.T) {
	t.Parallel()
	for what, url := range map[string]func(*testing.T) string{
		"server":  func(t *testing.T) string { return "redis://" + redistest.Start(t).Addr },
		"Cluster": func(t *testing.T) string { return redistest.Cluster(t).URL() },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := connect(t, redisdir.Config{URL: url(t)})
			await(t, "up", func() bool { return d.State().Up })
			kvtest.Contract(t, redisdir.Keep(d, "chat"))
		})
	}
}

// Writers change what is kept one after the other while the primary is killed and Sentinel makes a
// replica the primary, and while its data are flushed. What was confirmed is there.
func TestKeptSurvives(t *testing.T) {
	t.Parallel()
	w := redistest.Sentinel(t, 1)
	d := connect(t, redisdir.Config{URL: w.URL()})
	await(t, "up", func() bool { return d.State().Up })
	s := kv.Share(redisdir.Keep(d, "chat"), slog.New(slog.DiscardHandler))
	defer func() { _ = s.Close() }()
	confirmed := 0
	write := func(n int) {
		t.Helper()
		for range n {
			key := fmt.Appendf(nil, "%05d", confirmed)
			await(t, "a write", func() bool {
				err := s.Update(t.Context(), func(tx kv.Tx) error { tx.Put(key, []byte("v")); return nil })
				return err == nil
			})
			confirmed++
		}
	}
	write(200)
	first := w.Primary()
	first.Kill()
	write(200) // waits for the other primary
	w.Primary().Do("flushall")
	write(200)
	w.Primary().Do("flushall")
	w.Primary().Await("1", "exists", "sluice:kept:{chat}") // without a call
	other := kv.Share(redisdir.Keep(d, "chat"), slog.New(slog.DiscardHandler))
	defer func() { _ = other.Close() }()
	n := 0
	err := other.View(func(tx kv.Tx) error {
		tx.Ascend(nil, func(_, _ []byte) bool { n++; return true })
		return nil
	})
	if err != nil || n != confirmed {
		t.Errorf("%d keys, %v, want %d", n, err, confirmed)
	}
	if keys := w.Primary().Do("keys", "*kept*"); strings.Count(keys, "\n") > 0 {
		t.Errorf("keys that are left: %s", keys)
	}
}
