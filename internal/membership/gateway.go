package membership

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// Prefix begins the keys of gateways. The id of the gateway follows, in decimal digits.
const Prefix = "gateway/"

// key returns the key of a gateway's row.
func key(id uint32) string { return Prefix + strconv.FormatUint(uint64(id), 10) }

// Gateway is what the directory knows of a gateway.
type Gateway struct {
	ID    uint32
	Epoch uint64 // of the row
	Entry
}

// Entry is the value of a gateway's row, in JSON.
type Entry struct {
	// Addr is the host:port where workers and other gateways connect. It is empty until the gateway
	// listens.
	Addr string `json:"addr,omitempty"`
	Name string `json:"name,omitempty"`
	// Rank is the epoch that the row had first. It stays when the row is lost and claimed again, so it
	// puts gateways into the order in which they have started. 0 until the gateway knows it.
	Rank     uint64 `json:"rank,omitempty"`
	Draining bool   `json:"draining,omitempty"` // the gateway closes down; its clients still need workers
	// Entered is another number each time that the gateway has entered all of its groups and uids into
	// the directory, after a doubt whether they are all there.
	Entered uint64 `json:"entered,omitempty"`
}

// append appends the entry as JSON.
func (e *Entry) encode() []byte {
	b, _ := json.Marshal(e) // never fails
	return b
}

// parse returns the gateway of a row.
func parse(row *directory.Row) (g Gateway, err error) {
	id, err := strconv.ParseUint(strings.TrimPrefix(row.Key, Prefix), 10, 32)
	if err != nil || id == 0 {
		return g, fmt.Errorf("membership: key %q has no id of a gateway", row.Key)
	}
	g.ID, g.Epoch = uint32(id), row.Epoch
	if err := json.Unmarshal(row.Value, &g.Entry); err != nil {
		return g, fmt.Errorf("membership: value of %q: %w", row.Key, err)
	}
	if g.Rank == 0 {
		g.Rank = row.Epoch
	}
	return g, nil
}

// Renewed returns how long ago a gateway has renewed its lease, by the clock of the directory: a
// Lease or more if it has no row.
func Renewed(ctx context.Context, rows directory.Rows, id uint32) (ago time.Duration, err error) {
	row, err := rows.Get(ctx, key(id))
	if err != nil && !errors.Is(err, directory.ErrNone) {
		return 0, err
	}
	return Lease - row.Left, nil
}

// Watch calls changed with the gateways that listen, in the order in which they have started: at
// once, and after each change, on the caller's goroutine. Rows that are not valid are left out;
// invalid gets what is wrong with each. It returns when ctx has ended.
func Watch(ctx context.Context, rows directory.Rows, changed func([]Gateway), invalid func(error)) {
	_ = rows.Watch(ctx, Prefix, func(all []directory.Row) { // the prefix is valid
		changed(gateways(all, invalid))
	})
}

func gateways(rows []directory.Row, invalid func(error)) []Gateway {
	all := make([]Gateway, 0, len(rows))
	for i := range rows {
		g, err := parse(&rows[i])
		if err != nil {
			invalid(err)
		} else if g.Addr != "" {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b Gateway) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.ID, b.ID)) })
	return all
}
