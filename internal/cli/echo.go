package cli

import (
	"bytes"
	"context"

	"github.com/seed-7410fe32/sluice/worker"
)

// echo sends each message back unchanged, or to all clients if it begins with broadcastPrefix.
type echo struct{ broadcastPrefix string }

// handler returns the handler of the echo.
func (e *echo) handler() worker.Handler { return worker.Handler{Message: e.message} }

func (e *echo) message(_ context.Context, c worker.Call, m worker.Message) error {
	if e.broadcastPrefix != "" && bytes.HasPrefix(m.Data, []byte(e.broadcastPrefix)) {
		c.Publish(worker.Everyone(), m)
	} else {
		c.Send(m)
	}
	return nil
}
