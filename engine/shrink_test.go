package engine

import (
	"bytes"
	"testing"
)

// The memory of a large message is not kept for the first bytes of the next one.
func TestALargeMessageLeavesNoLargeBuffer(t *testing.T) {
	t.Parallel()
	const large = 1 << 20
	e := start(t, Config{})
	received := make(chan []byte, 1)
	c, nc := opened(t, e, funcs{data: func(_ *Conn, in []byte) int { // messages of that size
		if len(in) < large {
			return 0
		}
		received <- bytes.Clone(in[:large])
		return large
	}}, ConnOptions{MaxInput: 2 * large})
	message := bytes.Repeat([]byte("0123456789abcdef"), large/16)
	for _, rest := range []int{1, 600, 100_000} {
		if _, err := nc.Write(append(bytes.Clone(message), message[:rest]...)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(receive(t, received), message) {
			t.Fatal("it is not what was sent")
		}
		eventually(t, "what is left is there", func() (there bool) {
			on(t, c.Loop(), func() {
				there = c.Unread() == rest
				if room := cap(c.unconsumed); there && room > max(minBuffer, 4*rest) {
					t.Errorf("%d bytes are left, in a buffer of %d", rest, room)
				}
			})
			return there
		})
		if _, err := nc.Write(message[rest:]); err != nil { // the next one arrives whole, too
			t.Fatal(err)
		}
		if !bytes.Equal(receive(t, received), message) {
			t.Fatal("the rest is not what was sent")
		}
	}
}
