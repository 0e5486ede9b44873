package main

import (
	"bytes"

	"sluice/worker"
)

// echo sends every message back as it came, or to everybody when it begins with the prefix.
type echo struct{ broadcastPrefix string }

// OnMessage implements worker.Handler. Its errors mean that the gateway is gone, and with it whoever would hear of them.
func (e *echo) OnMessage(c *worker.Client, m worker.Message) {
	if e.broadcastPrefix != "" && bytes.HasPrefix(m.Data, []byte(e.broadcastPrefix)) {
		_ = c.Broadcast(m)
		return
	}
	_ = c.Send(m)
}
