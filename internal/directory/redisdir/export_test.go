package redisdir

import (
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
