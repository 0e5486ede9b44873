package report

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
)

// A file that is not a report is refused. From any other every format can be written.
func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := writeJSON(&b, &bench.Report{Format: bench.Format}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"Format":1,"Timeline":[{"Seconds":1e308}]}`))
	f.Add([]byte("{}{}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		for _, form := range []string{"text", "csv", "gobench", "hgrm", "prometheus"} {
			_ = Writers[form](io.Discard, r) // in any words
		}
		_ = Compare(io.Discard, []*bench.Report{r}, []*bench.Report{r, r, r})
		_ = Compare(io.Discard, []*bench.Report{r, r, r, r}, []*bench.Report{r, r, r, r})
	})
}

// An objective that is accepted returns its text.
func FuzzSLO(f *testing.F) {
	for _, s := range []string{"p99<5ms", "rate>10k", "errors<0.1%", "cpu<20us", "p99.9<1s", "<", "p99<NaN", "rate>-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		o, err := ParseSLO(in)
		if err != nil {
			return
		}
		again, err := ParseSLO(o.String())
		if err != nil || again.String() != o.String() || !strings.ContainsAny(o.String(), "<>") {
			t.Fatalf("%q becomes %q: %v", in, o, err)
		}
	})
}
