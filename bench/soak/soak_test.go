package soak

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/validtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	validtest.Negative(t, Options{}, func(o Options) error {
		err := o.defaults()
		if err != nil && !errors.Is(err, bench.ErrOptions) {
			t.Errorf("%v is no ErrOptions", err)
		}
		return err
	})
}

// A round whose audit is not clean, or whose clients met an error, is
// printed as failed and fails the run.
func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]bench.Report{
		"echo 5 ok":                           {Audit: bench.Audit{Expected: 5, Received: 5}},
		"echo 5 FAILED (2 lost, 1 reordered)": {Audit: bench.Audit{Expected: 7, Received: 5, Lost: 2, Reordered: 1}},
		"echo 5 FAILED (3 duplicated)":        {Audit: bench.Audit{Expected: 2, Received: 5, Duplicated: 3}},
		"echo 5 FAILED (1 times closed: EOF)": {
			Audit: bench.Audit{Expected: 5, Received: 5}, Errors: []bench.ErrorCount{{Kind: "closed", Count: 1, Example: "EOF"}},
		},
		"echo 5 ok, no faults, 2 echo turned away": {
			Audit:  bench.Audit{Expected: 5, Received: 5},
			Errors: []bench.ErrorCount{{Kind: bench.TurnedAway, Count: 2, Example: "503"}},
		},
		"echo 5 FAILED (6 times turned away: 503)": {
			Audit:  bench.Audit{Expected: 5, Received: 5},
			Errors: []bench.ErrorCount{{Kind: bench.TurnedAway, Count: 6, Example: "503"}},
		},
		"echo 0 FAILED (nothing arrived)": {},
		"echo 15 FAILED (7 changed, 8 unexpected), no": {
			Audit: bench.Audit{Expected: 7, Received: 15, Changed: 7, Unexpected: 8},
		},
		"echo 5 FAILED (3 unanswered)":                 {Audit: bench.Audit{Expected: 5, Received: 5, Unanswered: 3}},
		"echo 5 FAILED (the account does not add up: ": {Audit: bench.Audit{Expected: 6, Received: 5}},
	} {
		var out bytes.Buffer
		s := &soak{out: &out, fleet: &fleet{}, bound: 100 << 20}
		r.Options.Label = "echo"
		s.rounds = []round{{loads: []*bench.Report{&r}}}
		s.print(s.rounds[0])
		err := s.verdict()
		if !strings.Contains(out.String(), want) || errors.Is(err, ErrFailed) != strings.Contains(want, "FAILED") {
			t.Errorf("%v, %q; want %q", err, out.String(), want)
		}
	}
}

// Memory or descriptors that grow are found. Those that go up and down, or belong to processes
// that are replaced, are not.
func TestGrowth(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	steady := []int{40, 90, 85, 100, 70, 95, 80, 100}
	for _, c := range []struct {
		name    string
		rss     []int // MiB
		fds     []int
		lasting bool
		want    string
	}{
		{"steady", steady, steady, true, ""},
		{"short", []int{1, 500, 5000}, []int{1, 500, 5000}, true, ""},
		{"memory", []int{40, 80, 120, 160, 200, 240, 280, 320}, steady, true, "x held 160 MiB and holds 320 MiB"},
		{"descriptors", steady, []int{20, 40, 60, 80, 100, 120, 140, 160}, true, "x held 80 descriptors and holds 160"},
		{"another process each time", []int{40, 80, 120, 160, 200, 240, 280, 320}, steady, false, ""},
	} {
		var rounds [][]usage
		for i := range c.rss {
			rounds = append(rounds, []usage{{name: "x", rss: c.rss[i] * mib, descriptors: c.fds[i], lasting: c.lasting}})
		}
		if got := strings.Join(grows(rounds), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
