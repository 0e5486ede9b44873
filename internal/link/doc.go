// Package link implements the protocol between gateways and workers. SPEC.md defines the bytes of
// the protocol; this package encodes and decodes them.
//
// A Frame is one message of the protocol. Accept and Connect open a link, and each side proves to
// the other that it holds the shared key. Only they do I/O: they block on their net.Conn. No type
// is safe for concurrent use.
package link
