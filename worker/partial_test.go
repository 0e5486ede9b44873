package worker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sluice/worker"
)

// TestGroupsThatDoNotFit asks for the groups of a client that is in more than there is room for: it gets those there is
// room for, and ErrPartial. A client of few groups is none the worse.
func TestGroupsThatDoNotFit(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	e := make(errands, 1)
	w := run(t, worker.Config{Gateways: []string{g1.InnerAddr(), g2.InnerAddr()}}, e)
	<-w.Ready()
	ids := make([]worker.ClientID, 2)
	for i := range ids {
		l := dial(t, g1)
		e <- func(c *worker.Client) { ids[i] = c.ID() }
		l.say("go on")
		l.hears("done")
	}
	const joined, names = 150, 60_000
	for i := range joined {
		if err := w.Client(ids[0]).Join(fmt.Sprint(i) + strings.Repeat("x", names)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Client(ids[1]).Join("one"); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for i, want := range []struct {
		groups int
		err    error
	}{{8<<20/names + 1, worker.ErrPartial}, {1, nil}} {
		groups, err := w.Client(ids[i]).Groups(ctx)
		if len(groups) < want.groups-1 || len(groups) > want.groups || !errors.Is(err, want.err) {
			t.Errorf("client %d: Groups gives %d, %v, want %d, %v", i, len(groups), err, want.groups, want.err)
		}
	}
	rows, groups := 0, 0
	var last error
	for row, err := range w.Select(ctx, worker.Query{Fields: worker.FieldGroups}) {
		if last = err; err == nil {
			rows++
			groups += len(row.Groups)
		}
	}
	if rows != 2 || groups >= joined || !errors.Is(last, worker.ErrPartial) {
		t.Errorf("Select gives %d rows with %d groups, and at last %v", rows, groups, last)
	}
	if n, err := w.CountGroups(ctx, "one", "one", "none", "one"); err != nil || fmt.Sprint(n) != "map[none:0 one:1]" {
		t.Errorf("CountGroups of one group named thrice: %v, %v", n, err)
	}
}
