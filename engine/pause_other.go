//go:build !linux

package engine

import "github.com/panjf2000/gnet/v2"

// poller does nothing here: Pause holds OnData back and lets what the peer sends
// pile up in the carry, to MaxInput. Good enough to develop on, not to serve.
type poller struct{}

func pollerOf(gnet.Conn) poller { return poller{} }

func (poller) pause(*Conn)  {}
func (poller) resume(*Conn) {}
