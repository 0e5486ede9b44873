// Package engine runs long-lived connections on a fixed number of event loops.
//
// An Engine owns Loops. A Conn belongs to one Loop for life, and everything
// about it happens on that loop's goroutine: its Handler's callbacks, its
// writes, its timers. So none of it needs a lock. From any other goroutine
// there is one door, Loop.Post; besides it only Engine's and Listener's methods
// and Loop.Post itself may be called from outside.
//
// # A turn
//
// A loop asks the kernel what is ready, reads each ready connection once and
// hands the bytes to its Handler. What handlers write is collected in buffers
// and leaves at the end of the turn, one write per connection, whatever the
// number of messages; sooner when it is much, and at the end of the callback on
// connections that are Prompt. Posted functions and timers run between turns.
//
// What the kernel does not take waits, at most MaxOutput bytes per connection and
// MaxBuffered per loop, and is tried again every few milliseconds. What does not
// fit is dropped, or ends the connection, as its SendOptions or its Overflow says.
//
// # Buffers
//
// An incoming slice is a view, valid until OnData returns; to keep it, copy it.
// Write copies. Begin and Commit append in place without a copy. A message that
// many are sent is written once, to a Shared, and WriteShared has each conn show
// it, without a copy unless it has to wait.
//
// # The end of a connection
//
// No method of Conn or Loop ever calls a Handler. Close marks the connection
// ended at once, so every later call on it is harmless, and OnClose runs when
// the callback, posted function or timer in progress has returned.
//
// A peer may end its side and still read. A Handler that is an Ender is told, and
// goes on writing until it closes the connection. With HandOver another Handler
// has the connection from now on, and the one so far is told OnClose.
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
