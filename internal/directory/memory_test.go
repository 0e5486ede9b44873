package directory_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/directory/directorytest"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(6)
	leaktest.Main(m)
}

// memory is one Memory, which all of its clients share.
type memory struct{ *directory.Memory }

func (m memory) Client(*testing.T) directory.Directory { return m.Memory }

func (m memory) Flush(*testing.T) { m.Memory.Flush() }

func openMemory(t *testing.T) directorytest.Store {
	d, err := directory.NewMemory(directory.MemoryConfig{Keep: directorytest.Keep, EntryTTL: directorytest.EntryTTL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return memory{d}
}

func TestContract(t *testing.T) {
	t.Parallel()
	directorytest.Run(t, openMemory)
}
