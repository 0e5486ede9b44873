package stats_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// A batch has the reports that were appended to it. Any beginning of it that does not end between
// two reports is malformed, and so is an empty one.
func TestBatch(t *testing.T) {
	t.Parallel()
	parts := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte("x"), 300)}
	var batch []byte
	ends := map[int]int{}
	for i, p := range parts {
		batch = stats.AppendToBatch(batch, p)
		ends[len(batch)] = i + 1
	}
	for n := range len(batch) + 1 {
		got, err := stats.SplitBatch(batch[:n])
		if want := ends[n]; want == 0 && !errors.Is(err, stats.ErrMalformed) || len(got) != want {
			t.Errorf("%d bytes: %d reports, %v, want %d", n, len(got), err, want)
		}
		for i, p := range got {
			if !bytes.Equal(p, parts[i]) {
				t.Errorf("%d bytes: report %d is %q", n, i, p)
			}
		}
	}
	if _, err := stats.SplitBatch(make([]byte, 4*4097)); !errors.Is(err, stats.ErrTooLarge) {
		t.Errorf("4,097 empty reports: %v", err)
	}
	if all, err := stats.SplitBatch(make([]byte, 4*4096)); err != nil || len(all) != 4096 {
		t.Errorf("4,096 empty reports: %d, %v", len(all), err)
	}
}
