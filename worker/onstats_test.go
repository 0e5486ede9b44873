package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/worker"
)

// With OnStats a worker needs no gateway to get rid of its figures: not for what it counts while it
// runs, and not for what it has counted last. A report that is refused comes again.
func TestOnStats(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	refuse, came := 2, 0
	kept := make(map[uint64]uint64) // calls, by the number of the report
	w, err := worker.New(worker.Config{
		Gateways: []string{"127.0.0.1:1"}, Name: "shop", Logger: slog.New(slog.DiscardHandler),
		OnStats: func(ctx context.Context, report []byte) error {
			mu.Lock()
			defer mu.Unlock()
			if _, limited := ctx.Deadline(); !limited {
				t.Error("no deadline")
			}
			if came++; came <= refuse {
				return errors.New("no")
			}
			r, err := stats.ReadReport(report)
			if err != nil || len(r.Rows) != 1 || r.Rows[0].Module != "shop" || r.Rows[0].Interface != "buy" {
				t.Errorf("%+v, %v", r, err)
				return nil
			}
			kept[r.Seq] = r.Rows[0].Count
			return nil
		},
	}, worker.Handler{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	calls := func() (n uint64) {
		mu.Lock()
		defer mu.Unlock()
		for _, count := range kept {
			n += count
		}
		return n
	}
	w.Record("shop", "buy", time.Millisecond, 0, "", "")
	for end := time.Now().Add(30 * time.Second); calls() < 1 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	for range 10 {
		w.Record("shop", "buy", time.Millisecond, 0, "", "")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := calls(); n != 11 || came != len(kept)+refuse {
		t.Errorf("%d calls in %d reports, which came %d times", n, len(kept), came)
	}
	if s := w.Stats(); s.ReportsLost != 0 || s.Reports != uint64(len(kept)) {
		t.Errorf("%+v", s)
	}
}
