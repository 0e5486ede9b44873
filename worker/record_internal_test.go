package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

type coded int

func (c coded) Error() string { return fmt.Sprint("code ", int(c)) }
func (c coded) Code() int     { return int(c) }

type broken struct{ code *int }

func (b *broken) Error() string { return fmt.Sprint(*b.code) }
func (b *broken) Code() int     { return *b.code }

// The codes of errors are those of docs/worker.md.
func TestCodes(t *testing.T) {
	t.Parallel()
	var none *broken
	for _, c := range []struct {
		err  error
		want uint32
	}{
		{errors.New("x"), 1},
		{fmt.Errorf("deep: %w", coded(4711)), 4711},
		{Retry(coded(7)), 7},
		{coded(0), 1},
		{coded(-3), 1},
		{coded(math.MaxInt), map[bool]uint32{true: 1, false: math.MaxInt32}[math.MaxInt > math.MaxInt32]},
		{Refuse(4003, "full"), 4003},
		{Refuse(7, "no such code"), 400},
		{RefuseStatus(401, "who?"), 401},
		{fmt.Errorf("%w: boom", ErrPanic), 500},
		{fmt.Errorf("Call.Join: %w", ErrTooBig), 400},
		{ErrEmpty, 400},
		{ErrTooMany, 400},
		{ErrUnitTooLarge, 400},
		{fmt.Errorf("database: %w", context.DeadlineExceeded), 504},
		{fmt.Errorf("database: %w", os.ErrDeadlineExceeded), 504},
		{context.Canceled, 1},
		{none, 1}, // its methods panic
	} {
		if got := codeOf(c.err); got != c.want {
			t.Errorf("%#v has code %d, want %d", c.err, got, c.want)
		}
	}
	if got := stats.TextOf(none); got != "the error's method Error has panicked" {
		t.Errorf("%q", got)
	}
}
