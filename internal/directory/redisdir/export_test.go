package redisdir

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// LateCalls makes calls of Enter and Leave with numbers of its own, as if they had been under way
// for longer than later ones.
func LateCalls(t *testing.T, d *Directory) {
	t.Helper()
	m, set := directory.Member{Gateway: 1, Epoch: 2}, []directory.Set{{Kind: directory.Group, Name: "lobby"}}
	life := ms(d.cfg.EntryTTL)
	for _, c := range []struct {
		what   string
		script script
		number uint64
		there  bool
	}{
		{"enter", enter, 3, true},
		{"an earlier leave", leave, 2, true},
		{"a later enter", enter, 7, true},
		{"an enter before that", enter, 5, true},
		{"a leave before that", leave, 6, true},
		{"the same enter again", enter, 7, true},
		{"a later leave", leave, 8, false},
	} {
		args := []string{member(m), decimal(c.number)}
		if c.script == enter {
			args = append(args, life)
		}
		if err := d.each(t.Context(), c.script, set, args, nil); err != nil {
			t.Fatal(err)
		}
		found, err := d.Locate(t.Context(), directory.Reader{}, 0, set)
		if err != nil || len(found[0]) == 1 != c.there {
			t.Errorf("after %s: %v, %v", c.what, found, err)
		}
	}
}

// Changes makes more changes of rows, which are gone, than an index remembers, and checks what
// those learn that know more or less of them.
func Changes(t *testing.T, d *Directory) {
	t.Helper()
	const kind, many = "room", 4000
	ask := func(number string) (last string, whole bool, rows []string) {
		t.Helper()
		answers, err := d.server.run(t.Context(), call{poll, d.index(kind), []string{number, "10", d.channel(kind)}})
		if err != nil {
			t.Fatal(err)
		}
		texts, err := answers[0].ToArray()
		if err != nil {
			t.Fatal(err)
		}
		last, _ = texts[0].ToString()
		n, _ := texts[1].AsInt64()
		for _, m := range texts[2:] {
			row, _ := m.ToString()
			rows = append(rows, row)
		}
		return last, n == 1, rows
	}
	if last, whole, _ := ask("0"); last != "0" || whole {
		t.Errorf("an empty index has number %s, %v", last, whole)
	}
	change := func(first, n int) {
		t.Helper()
		var calls []call
		for i := first; i < first+n; i++ {
			calls = append(calls, d.note(fmt.Sprintf("room/%d", i), 0, true))
		}
		if _, err := d.server.run(t.Context(), calls...); err != nil {
			t.Fatal(err)
		}
	}
	change(0, 1)
	early, _, _ := ask("-1")
	for first := 1; first < many; first += 500 {
		change(first, 500)
	}
	late, whole, _ := ask(early)
	if !whole {
		t.Error("who knows only the first change is told a part")
	}
	if last, whole, rows := ask(late); last != late || whole || len(rows) != 0 {
		t.Errorf("who knows the last change is told %s, %v, %v", last, whole, rows)
	}
	change(7, 1)
	change(many+1000, 9)
	if _, whole, rows := ask(late); whole || len(rows) != 10 || !slices.Contains(rows, "room/7") {
		t.Errorf("ten changes are told as %v, %v", whole, rows)
	}
	change(many+2000, 1)
	if _, whole, _ := ask(late); !whole {
		t.Error("more changes than were asked for are told in part")
	}
	if _, whole, _ := ask("9000000000000000"); !whole {
		t.Error("who knows a change of the future is told a part")
	}
	client, err := d.server.up()
	if err != nil {
		t.Fatal(err)
	}
	n, err := client.Do(t.Context(), client.B().Zcard().Key(d.index(kind)).Build()).AsInt64()
	if err != nil || n > 1030 {
		t.Errorf("%d entries of rows that are gone, %v", n, err)
	}
}
