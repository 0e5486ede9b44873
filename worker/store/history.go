package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"sluice/internal/valid"
)

// ErrHistory is returned when the value of a key is no list of items.
var ErrHistory = errors.New("store: not a history")

// History keeps the last items of many lists, such as the last messages of
// each room. A list is one value: an Append reads and writes all of it, and
// returns an error when Keep or MaxBytes is negative.
type History struct {
	Store    Store
	Keep     int // items of a list. Defaults to 100.
	MaxBytes int // of a list, with a length of one to three bytes an item. Defaults to 32 KiB.
}

// Append adds item to the list of key. The oldest items go when there are too
// many. An item that alone is beyond MaxBytes is refused with ErrTooBig.
func (h History) Append(ctx context.Context, key string, item []byte) error {
	if field, err := valid.Numbers(h); err != nil {
		return fmt.Errorf("store: History.%s: %w", field, err)
	}
	limit := cmp.Or(h.MaxBytes, 32<<10)
	added := append(binary.AppendUvarint(nil, uint64(len(item))), item...)
	if len(added) > limit {
		return ErrTooBig
	}
	return h.Store.Update(ctx, key, func(list []byte) ([]byte, error) {
		items, err := split(list)
		if err != nil {
			return nil, fmt.Errorf("appending to %q: %w", key, err)
		}
		for len(items) > 0 && (len(items) >= cmp.Or(h.Keep, 100) || len(list)+len(added) > limit) {
			_, size := binary.Uvarint(list)
			list = list[size+len(items[0]):]
			items = items[1:]
		}
		return append(list, added...), nil
	})
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
