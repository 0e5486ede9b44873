package keep

import (
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// limitFiles bounds the size of files that this process writes.
func limitFiles(bytes uint64) {
	signal.Ignore(syscall.SIGXFSZ)
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &have); err != nil {
		panic(err)
	}
	have.Cur = min(bytes, have.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &have); err != nil {
		panic(err)
	}
}

// When the disk is full, reports are refused, and nothing is lost that was acknowledged. When there
// is room again the same reports are kept, without a restart.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := opened(t, dir)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	c := startChild(t, dir, roomEnv+"="+strconv.Itoa(64<<10))
	kept, failed := uint64(0), 0
	answer := func() bool {
		t.Helper()
		if !c.out.Scan() {
			t.Fatal("the child has ended")
		}
		return !strings.HasPrefix(c.out.Text(), "failed")
	}
	seq := uint64(1)
	for ; failed < 5; seq++ {
		if seq > 5000 {
			t.Fatal("the disk is not full after 5,000 reports")
		}
		c.tell([]uint64{seq})
		for !answer() { // the sender tries again later
			if failed++; failed == 5 {
				_, _ = c.in.WriteString("room\n")
			}
			c.tell([]uint64{seq})
		}
		kept += seq%5 + 1
	}
	c.tell([]uint64{seq, seq - 1})
	for range 2 {
		if !answer() {
			t.Error("there is room, and a report is refused")
		}
	}
	kept += seq%5 + 1
	c.kill()
	k = opened(t, dir)
	if n := count(t, k); n != kept {
		t.Errorf("%d calls are kept, want %d", n, kept)
	}
	t.Logf("full after %d reports", seq-2)
}
