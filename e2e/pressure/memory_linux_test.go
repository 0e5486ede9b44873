package pressure_test

import (
	"bufio"
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/procfs"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// After a burst of large messages, a quiet process returns the memory within seconds, without
// waiting for the collector's two minutes.
func TestMemoryComesBackAfterABurst(t *testing.T) {
	t.Parallel()
	const clients, size, rounds = 24, 4 << 20, 4
	p := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0", "--reactors", "2",
		"--max-message", "5000000", "--max-output", "6000000")
	before := procfs.Resident(p.PID)
	var talking sync.WaitGroup
	message := append(bytes.Repeat([]byte("x"), size), '\n')
	for range clients {
		c := proctest.Dial(t, p.Addrs["text"])
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		talking.Go(func() {
			in := bufio.NewReader(c)
			for range rounds {
				sent := make(chan error, 1)
				go func() { _, err := c.Write(message); sent <- err }()
				if _, err := io.CopyN(io.Discard, in, int64(len(message))); err != nil {
					t.Error(err)
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
			}
		})
	}
	talking.Wait()
	most, began := procfs.Resident(p.PID), time.Now()
	if most < before+64<<20 {
		t.Fatalf("the burst took from %d to %d MiB: it is none", before>>20, most>>20)
	}
	bound := before + 24<<20
	proctest.Await(t, "the memory comes back", func() bool { return procfs.Resident(p.PID) < bound })
	t.Logf("%d MiB before, %d MiB after the burst, less than %d MiB after %v",
		before>>20, most>>20, bound>>20, time.Since(began).Round(100*time.Millisecond))
}
