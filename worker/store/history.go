package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// ErrHistory is returned when the value of a key is no list of items.
var ErrHistory = errors.New("store: not a history")

// History keeps the last items of many lists, such as the last messages of
// each room. A list is one value: an Append reads and writes all of it, and
// returns an error when Keep or MaxBytes is negative.
type History struct {
	Store Store
	Keep  int // items of a list. Defaults to 100.
	// MaxBytes bounds a list, with a length of one to three bytes an item.
	// Defaults to 32 KiB. Where the Store takes less for a value (Memory.MaxValue),
	// lists are as long as it takes.
	MaxBytes int
}

// Append adds item to the list of key. The oldest items go when there are too
// many, or more than MaxBytes or the Store has room for. An item that alone is
// more than that is refused with ErrTooBig, and the list stays as it was.
func (h History) Append(ctx context.Context, key string, item []byte) error {
	if field, err := valid.Numbers(h); err != nil {
		return fmt.Errorf("store: History.%s: %w", field, err)
	}
	limit := cmp.Or(h.MaxBytes, 32<<10)
	if s, ok := h.Store.(interface{ MaxValue(key string) int }); ok {
		limit = min(limit, s.MaxValue(key))
	}
	added := append(binary.AppendUvarint(nil, uint64(len(item))), item...)
	if len(added) > limit {
		return ErrTooBig
	}
	for {
		size := 0
		err := h.Store.Update(ctx, key, func(list []byte) ([]byte, error) {
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
		limit = max(size-1-size/8, len(added)) // the store takes less, and does not say how much
	}
}

// newest returns the newest items of list, one fewer than Keep and of at most so
// many bytes.
func (h History) newest(list []byte, most int) ([]byte, error) {
	items, err := split(list)
	if err != nil {
		return nil, err
	}
	for len(items) > 0 && (len(items) >= cmp.Or(h.Keep, 100) || len(list) > most) {
		_, size := binary.Uvarint(list)
		list = list[size+len(items[0]):]
		items = items[1:]
	}
	return list, nil
}

// Items returns the list of key, the oldest item first. It is empty when there is none.
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
