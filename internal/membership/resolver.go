package membership

import (
	"context"
	"log/slog"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// Resolver lists the gateways in a directory, those first that have started first. It is a
// worker.Resolver.
type Resolver struct {
	rows directory.Rows
	log  *slog.Logger
}

// NewResolver returns a Resolver.
func NewResolver(rows directory.Rows, log *slog.Logger) *Resolver { return &Resolver{rows, log} }

// Watch implements worker.Resolver.
func (r *Resolver) Watch(ctx context.Context, set func(addrs []string)) {
	last := ""
	Watch(ctx, r.rows, func(gateways []Gateway) {
		addrs := make([]string, len(gateways))
		for i, g := range gateways {
			addrs[i] = g.Addr
		}
		set(addrs)
	}, func(err error) {
		if err.Error() != last {
			last = err.Error()
			r.log.Warn("row of a gateway in the directory is not valid, not used", "err", err)
		}
	})
}

// LinkLost implements worker.Resolver. There is nothing to do: the directory tells of changes.
func (r *Resolver) LinkLost() {}
