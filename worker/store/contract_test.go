package store_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/worker/store"
	"github.com/seed-7410fe32/sluice/worker/store/internal/contract"
)

func TestMemory(t *testing.T) {
	contract.Test(t, func(t testing.TB) []store.Store {
		m, err := store.NewMemory(store.MemoryConfig{TTL: contract.Most})
		if err != nil {
			t.Fatal(err)
		}
		return []store.Store{m}
	})
}
