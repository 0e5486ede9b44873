package soak

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
)

func defaults() Options {
	var o Options
	if err := o.defaults(); err != nil {
		panic(err)
	}
	return o
}

// The bound is the sum of its parts, each with a name. More of any part makes it larger, but never
// larger than the limits of the gateway allow.
func TestBound(t *testing.T) {
	t.Parallel()
	o := defaults()
	s := o.setup()
	total, parts := bound(s)
	sum := 0
	for _, p := range parts {
		if p.name == "" || p.bytes <= 0 {
			t.Errorf("%+v", p)
		}
		sum += p.bytes
	}
	if sum != total {
		t.Errorf("the parts come to %d bytes, and the bound is %d", sum, total)
	}
	for name, more := range map[string]func(*setup){
		"clients": func(s *setup) { s.clients++ },
		"formats": func(s *setup) { s.formats++ },
		"workers": func(s *setup) { s.workers++ },
	} {
		larger := s
		more(&larger)
		if n, _ := bound(larger); n <= total {
			t.Errorf("more %s: %d bytes, and with fewer %d", name, n, total)
		}
	}
	few, many := s, s
	few.senders, few.big = 1, 1
	many.senders, many.big = 1e4, 1e4
	most, _ := bound(many)
	if least, _ := bound(few); least >= total || most-total > collector*loops*(queueBytes+maxMessage+partialBytes) {
		t.Errorf("few who send: %d bytes; the default: %d; very many: %d", least, total, most)
	}
	text := table(total, parts)
	if lines := strings.Count(text, "\n"); lines != len(parts)+2 {
		t.Errorf("%d lines for %d parts:\n%s", lines, len(parts), text)
	}
}

// The bound is low enough to find within a minute that each broadcast is kept for each format.
func TestBoundIsTight(t *testing.T) {
	t.Parallel()
	o := defaults()
	total, _ := bound(o.setup())
	broadcasts := int(o.Rate / 40 * 60)
	kept := broadcasts * broadcastSize * (len(o.Formats) - 1) * loops // by each loop, for all formats but one
	if kept*collector < total*3/2 {
		t.Errorf("a gateway may hold %d bytes; %d broadcasts, kept, are %d", total, broadcasts, kept)
	}
}

// A setup counts all clients at a time.
func TestSetup(t *testing.T) {
	t.Parallel()
	o := defaults()
	o.Conns, o.Formats = 200, []bench.WireFormat{{Codec: bench.Text}, {Codec: bench.WebSocket}}
	got, want := o.setup(), (setup{
		clients: slowReaders + 100 + 2 + 60 + 40 + 2, senders: 100 + 6 + 2, sender: broadcastSize, big: 2, formats: 2,
		workers: 3,
	})
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c := o.codecs(); len(c) != 2 {
		t.Error(c)
	}
	if c := defaults(); len(c.codecs()) != len(bench.Codecs) {
		t.Errorf("%v for %v", c.codecs(), c.Formats)
	}
}

// A gateway that uses more than the bound is named, fails the run and ends it.
func TestOverTheBound(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &soak{out: &out, fleet: &fleet{}, bound: 100 << 20}
	for _, most := range [][]int{{99 << 20, 0}, {101 << 20, 99 << 20}} {
		r := round{loads: []*bench.Report{{Audit: bench.Audit{Expected: 1, Received: 1}}}, peaks: most}
		s.rounds = append(s.rounds, r)
		if s.print(r); s.over != (most[0] > s.bound) {
			t.Errorf("%v: over is %v", most, s.over)
		}
	}
	want := "gateway-1 at most 101 of 100 MiB FAILED (memory is not bounded), gateway-2 at most 99 of 100 MiB"
	err := s.verdict()
	if !errors.Is(err, ErrFailed) || strings.Count(out.String(), "FAILED") != 1 || !strings.Contains(out.String(), want) {
		t.Errorf("%v\n%s", err, out.String())
	}
}
