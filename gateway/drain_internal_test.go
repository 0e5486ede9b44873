package gateway

import (
	"log/slog"
	"testing"
	"time"
)

// The default rate closes all clients in half of the time, but never fewer than 100 a second.
// DrainRate overrides it.
func TestPace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ given, clients, want int }{
		{0, 0, 100}, {0, 1, 100}, {0, 500, 100}, {0, 501, 100}, {0, 10_000, 2000}, {0, 1_000_000, 200_000}, {50, 10_000, 50},
		{5000, 10, 5000},
	} {
		g := Gateway{cfg: Config{DrainTimeout: 10 * time.Second, DrainRate: c.given}, log: slog.New(slog.DiscardHandler)}
		if got := g.pace(c.clients); got != c.want {
			t.Errorf("%d clients, %d given: %d a second, want %d", c.clients, c.given, got, c.want)
		}
	}
}

// The parts of all loops add up to the whole, and differ by one at most.
func TestShare(t *testing.T) {
	t.Parallel()
	for n := range 20 {
		for of := 1; of < 6; of++ {
			whole := 0
			for i := range of {
				part := portionOf(n, i, of)
				whole += part
				if part != n/of && part != n/of+1 {
					t.Errorf("part %d of %d for %d is %d", i, of, n, part)
				}
			}
			if whole != n {
				t.Errorf("%d for %d make %d", n, of, whole)
			}
		}
	}
}
