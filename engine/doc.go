// Package engine runs long-lived connections on a fixed number of event loops.
//
// An Engine owns Loops. A Conn belongs to one Loop for its whole life. Its Handler's callbacks, its
// writes and its timers all run on that loop's goroutine, so none of them needs a lock. Other
// goroutines use Loop.Post to run a function on a loop. Besides Loop.Post they may call only the
// methods of Engine and Listener.
//
// # A turn
//
// A loop asks the kernel which connections are ready, reads each of them once and passes the bytes
// to its Handler. Output is collected in buffers and written at the end of the turn, with one write
// per connection for any number of messages. A large amount of output is written earlier. Posted
// functions and timers run between turns.
//
// Bytes that the kernel does not accept stay in memory, at most MaxOutput per connection and
// MaxBuffered per loop. The loop tries to write them again every few milliseconds. When a message
// does not fit, it is dropped or the connection is closed, as SendOptions or ConnOptions.Overflow
// says.
//
// # Buffers
//
// The slice passed to OnData is a view that is valid until OnData returns. Copy it to keep it.
// Write copies. Begin and Commit append in place without a copy. A message to many connections is
// written once to a Shared. WriteShared then gives each conn a view of it, and copies only if the
// conn has to wait.
//
// # TLS
//
// The connections of a Listener with ListenOptions.TLS, and those that Register gets as a TLSConn,
// have TLS. Their Handlers see plaintext, and everything said here holds for them. A handshake runs
// on a goroutine of its own, before OnOpen. After it, the loop decrypts what it has read and
// encrypts a turn's output at once; no goroutine and no buffer is left.
//
// # The end of a connection
//
// No method of Conn or Loop calls a Handler. Close marks the connection as ended at once, so every
// later call on it has no effect. OnClose runs when the current callback, posted function or timer
// has returned.
//
// A peer may end its side of the connection and still read. A Handler that implements Ender
// receives OnEnd and can write until it closes the connection. HandOver gives a connection to
// another Handler; the previous Handler receives OnClose.
//
//	type echo struct{}
//
//	func (echo) OnOpen(c *engine.Conn)              {}
//	func (echo) OnClose(c *engine.Conn, err error)  {}
//	func (echo) OnData(c *engine.Conn, in []byte) int {
//		c.Write(in)
//		return len(in)
//	}
//
//	e, err := engine.New(engine.Config{})
//	l, err := e.Listen("tcp", ":7000", engine.ListenOptions{
//		Accept: func(netip.AddrPort) engine.Handler { return echo{} },
//	})
package engine
