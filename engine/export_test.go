package engine

// These names give tests in package engine_test access to a Conn's internals.
const (
	MaxBuffer   = maxBuffer
	RetainSplit = retainSplit
)

// Out returns c's output buffer and how many of its bytes gnet has accepted.
func (c *Conn) Out() (out []byte, sent int) { return c.out, c.sent }

// Yielded returns the number of conns of the loop that have yielded.
func (l *Loop) Yielded() int { return len(l.yielded) }
