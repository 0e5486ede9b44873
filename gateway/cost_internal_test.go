package gateway

import (
	"testing"
	"unsafe"
)

// A gateway keeps a session for each client. 256 bytes are a size class and four cache lines. One
// byte more would cost 32 bytes, and every other session would begin inside a cache line. The
// fields that a message uses are in the first two lines.
func TestASessionIsSmall(t *testing.T) {
	t.Parallel()
	var s session
	if size := unsafe.Sizeof(s); size > 256 {
		t.Errorf("a session has %d bytes", size)
	}
	if end := unsafe.Offsetof(s.member) + unsafe.Sizeof(s.member.ID) + 2*unsafe.Sizeof(s.member.Version()); end > 128 {
		t.Errorf("what a message touches ends at byte %d", end)
	}
}
