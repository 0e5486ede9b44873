package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// ErrHistory is returned when the value of a key is not a list of items.
var ErrHistory = errors.New("store: not a history")

// History keeps the newest items of many lists, such as the last messages of each room. Each list
// is one value of the Store, so an Append reads and writes the whole list. It writes only what it
// has read if nobody has changed it since (Update). So Appends of any goroutines and workers lose
// nothing, and an item is in the list once for each Append that returned nil. After ErrUnavailable
// the item may be in the list or not. Negative numbers are an error of Append.
type History struct {
	Store Store
	Keep  int // items of a list. Defaults to 100.
	// MaxBytes bounds the size of a list. Each item takes its own size and one to three bytes.
	// Defaults to 32 KiB. If the Store accepts less for a value (Store.MaxValue), that is the
	// bound.
	MaxBytes int
	// TTL is how long a list is available after its last Append. Zero means the longest time of the
	// Store.
	TTL time.Duration
}

// Append adds item to the list of key. It removes the oldest items if there are more than Keep, or
// more bytes than MaxBytes or the Store allows. An item that alone exceeds these bytes is rejected
// with ErrTooBig, and the list stays unchanged.
func (h History) Append(ctx context.Context, key string, item []byte) error {
	if field, err := valid.Numbers(h); err != nil {
		return fmt.Errorf("store: History.%s: %w", field, err)
	}
	limit := min(cmp.Or(h.MaxBytes, 32<<10), h.Store.MaxValue(key))
	added := append(binary.AppendUvarint(nil, uint64(len(item))), item...)
	if len(added) > limit {
		return ErrTooBig
	}
	for {
		size := 0
		err := Update(ctx, h.Store, key, h.TTL, func(list []byte) ([]byte, error) {
			list, err := h.newest(list, limit-len(added))
			if err != nil {
				return nil, fmt.Errorf("appending to %q: %w", key, err)
			}
			list = append(list, added...)
			size = len(list)
			return list, nil
		})
		if !errors.Is(err, ErrTooBig) || size <= len(added) {
			return err
		}
		limit = max(size-1-size/8, len(added)) // the store accepts less and does not say how much
	}
}

// newest returns the newest items of list: one fewer than Keep, and maxBytes at most.
func (h History) newest(list []byte, maxBytes int) ([]byte, error) {
	items, err := split(list)
	if err != nil {
		return nil, err
	}
	for len(items) > 0 && (len(items) >= cmp.Or(h.Keep, 100) || len(list) > maxBytes) {
		_, size := binary.Uvarint(list)
		list = list[size+len(items[0]):]
		items = items[1:]
	}
	return list, nil
}

// Items returns the list of key, the oldest item first. If there is no list it returns none.
func (h History) Items(ctx context.Context, key string) ([][]byte, error) {
	list, _, err := h.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return split(list)
}

// split returns views of the items of list.
func split(list []byte) (items [][]byte, err error) {
	for len(list) > 0 {
		n, size := binary.Uvarint(list)
		if size <= 0 || n > uint64(len(list)-size) {
			return nil, ErrHistory
		}
		end := size + int(n)
		items = append(items, list[size:end:end])
		list = list[end:]
	}
	return items, nil
}
