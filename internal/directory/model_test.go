package directory_test

import (
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/directory/directorytest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// handClock is a clock that stands still until it is moved. Each reading is a microsecond later.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

func (c *handClock) Sleep(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Random schedules. A failure names its seed, which plays the same again.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(suite.OfModel(t, 2000, 6000, "random schedules")) {
		clock := &handClock{now: time.Now()}
		d, err := directory.NewMemory(directory.MemoryConfig{Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		directorytest.Model(t, seed, memory{d}, clock, 10*time.Second, 200)
		d.Close()
		if t.Failed() {
			return
		}
	}
}
