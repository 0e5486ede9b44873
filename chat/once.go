package chat

import (
	"context"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/store"
)

// remembered is how many accepted messages of a user are remembered by their refs.
const remembered = 50

// sent remembers which messages of a user were published, so that a client that has received no
// answer can send a message again. It is a history of each uid. An item has three lines: the ref,
// the key of the request, and the id of the message.
type sent struct{ store.History }

func newSent() (sent, error) {
	refs, err := store.NewMemory(store.MemoryConfig{MaxBytes: 16 << 20, TTL: 10 * time.Minute})
	return sent{store.History{Store: refs, Keep: remembered}}, err
}

// again returns the answer to a message that was published before, or nil. A request that the
// gateway delivers again is not such a message: nobody has seen the effects of its first delivery.
func (s sent) again(ctx context.Context, c worker.Call, req *request) *event {
	if !req.Again || req.Ref == "" {
		return nil
	}
	items, err := s.Items(ctx, c.UID())
	if err != nil {
		return nil // publish a message twice rather than never
	}
	for _, item := range items {
		ref, rest, _ := strings.Cut(string(item), "\n")
		if key, id, _ := strings.Cut(rest, "\n"); ref == req.Ref && key != req.key {
			return &event{Type: "sent", ID: id}
		}
	}
	return nil
}

// add remembers a message that is published.
func (s sent) add(ctx context.Context, c worker.Call, req *request, id string) {
	if req.Ref != "" {
		// An error means only that the message is published twice if it is sent again.
		_ = s.Append(ctx, c.UID(), []byte(req.Ref+"\n"+req.key+"\n"+id))
	}
}
