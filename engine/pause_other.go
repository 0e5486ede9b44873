//go:build !linux

package engine

import "github.com/panjf2000/gnet/v2"

// poller does nothing on this system. Pause only delays OnData, and input is kept up to MaxInput.
// This is good enough for development and not for production.
type poller struct{}

func pollerOf(gnet.Conn) poller { return poller{} }

func (poller) pause(*Conn)  {}
func (poller) resume(*Conn) {}
