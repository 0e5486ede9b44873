package pressure_test

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/procfs"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// After a burst of large messages, a quiet process returns the memory. Go's collector is off, so
// that nothing else returns it, however long that takes on a busy machine.
func TestMemoryComesBackAfterABurst(t *testing.T) {
	t.Parallel()
	const clients, size, patience = 6, 4 << 20, 5 * time.Minute
	p := proctest.Start(t, []string{"GOGC=off"}, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0",
		"--reactors", "2", "--max-message", "5000000", "--max-output", "6000000")
	before := procfs.Resident(p.PID)
	var talking sync.WaitGroup
	message := append(bytes.Repeat([]byte("x"), size), '\n')
	for range clients {
		c := proctest.Dial(t, p.Addrs["text"])
		_ = c.SetDeadline(time.Now().Add(patience))
		talking.Go(func() {
			sent := make(chan error, 1)
			go func() { _, err := c.Write(message); sent <- err }()
			if _, err := io.CopyN(io.Discard, c, int64(len(message))); err != nil {
				t.Error(err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
	talking.Wait()
	most, began := procfs.TakePeak(p.PID), time.Now()
	if most < before+64<<20 {
		t.Fatalf("the burst took from %d to %d MiB: it is none", before>>20, most>>20)
	}
	bound := before + 24<<20
	for procfs.Resident(p.PID) >= bound {
		if time.Since(began) > patience {
			t.Fatalf("%d MiB before, %d MiB in the burst, and %d MiB remain", before>>20, most>>20,
				procfs.Resident(p.PID)>>20)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("%d MiB before, %d MiB in the burst, less than %d MiB after %v",
		before>>20, most>>20, bound>>20, time.Since(began).Round(100*time.Millisecond))
}
