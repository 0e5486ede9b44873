package engine

// What tests on a network in memory see of a Conn.
const (
	MaxBuffer = maxBuffer
	MostSent  = mostSent
)

// Out is c's out-buffer, and how much of it gnet has.
func (c *Conn) Out() (out []byte, sent int) { return c.out, c.sent }

// Yielded is how many conns of the loop wait for their turn.
func (l *Loop) Yielded() int { return len(l.yielded) }
