// Package link is the protocol between gateways and workers: SPEC.md says what is on the wire, this package puts it there and reads it.
//
// A Frame is one unit on a link. Accept and Connect open a link and prove both sides to each other; Sent keeps a sender's books of what has not been
// acknowledged. But for the opening, which blocks on its net.Conn, nothing here does I/O, and nothing is safe for concurrent use.
package link
