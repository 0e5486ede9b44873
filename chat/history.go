package chat

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/worker/store"
)

const (
	historyKeep  = 50       // messages of a room
	historyBytes = 48 << 10 // size of a room's history, as JSON
)

// NewHistory returns a store for the history of the rooms, in the memory of this process.
func NewHistory() (store.Store, error) {
	memory, err := store.NewMemory(store.MemoryConfig{TTL: 24 * time.Hour})
	if err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	return memory, nil
}

// history is the history of all rooms. It is a store, so it may forget.
type history struct{ store.Store }

// said is a message in the history of a room.
type said struct {
	Author  string   `json:"a"` // not sent to clients
	Message document `json:"m"`
}

// remember appends a message to the history of a room. A full history loses its oldest message,
// unless one author has more than half of it: then the oldest message of that author. So nobody can
// erase what others have said.
func (h history) remember(ctx context.Context, room, author string, message []byte) {
	// A message that the store does not accept is still published.
	_ = h.Update(ctx, group(room), func(old []byte) ([]byte, error) {
		var list []said
		if len(old) > 0 && unmarshal(old, &list) != nil {
			list = nil // it is no history
		}
		return marshal(shorter(append(list, said{author, message})))
	})
}

// shorter removes messages until the list is within its bounds.
func shorter(list []said) []said {
	type share struct{ messages, bytes int }
	all, of := share{}, make(map[string]share)
	for _, s := range list {
		of[s.Author] = share{of[s.Author].messages + 1, of[s.Author].bytes + len(s.Message)}
		all = share{all.messages + 1, all.bytes + len(s.Message)}
	}
	for len(list) > 1 && (all.messages > historyKeep || all.bytes > historyBytes) {
		oldest := slices.IndexFunc(list, func(s said) bool {
			return of[s.Author].messages > historyKeep/2 || of[s.Author].bytes > historyBytes/2
		})
		s := list[max(oldest, 0)]
		of[s.Author] = share{of[s.Author].messages - 1, of[s.Author].bytes - len(s.Message)}
		all = share{all.messages - 1, all.bytes - len(s.Message)}
		list = slices.Delete(list, max(oldest, 0), max(oldest, 0)+1)
	}
	return list
}

// past returns the history of a room, the oldest message first.
func (h history) past(ctx context.Context, room string) (messages []document) {
	b, _, _ := h.Get(ctx, group(room)) // go on without the history
	var list []said
	if len(b) == 0 || unmarshal(b, &list) != nil {
		return nil
	}
	for _, s := range list {
		messages = append(messages, s.Message)
	}
	return messages
}
