// Package link is the protocol between gateways and workers, as specified in SPEC.md.
//
// A Frame is one unit on a link. Accept and Connect open a link and authenticate both sides.
// AckWindow records the frames that a sender has outstanding. Except for the opening, which blocks
// on its net.Conn, nothing here does I/O, and nothing is safe for concurrent use.
package link
