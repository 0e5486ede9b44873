package chat

import (
	"context"

	"github.com/seed-7410fe32/sluice/worker"
)

// adopt begins anew what the memory of the former worker had of a client: the time limit of its
// login, or the reservation of its name.
func (h *chat) adopt(ctx context.Context, c worker.Call, _ worker.Takeover) error {
	if c.UID() == "" {
		return h.connect(ctx, c)
	}
	h.identities.reserve(ctx, c)
	return nil
}
