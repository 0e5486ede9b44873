package bench

import (
	"context"

	"github.com/seed-7410fe32/sluice/worker"
)

// The verbs that begin a message, after the quote of JSON, in modes that need the bench worker.
const (
	verbNothing   = 'n' // echo, like a message without a verb
	verbLogin     = 'h' // bind this UID; echo
	verbJoin      = 'j' // join this room; echo
	verbLeave     = 'l' // leave this room; echo
	verbPush      = 'p' // send to the UID
	verbWhisper   = 'w' // send to the UID; echo
	verbRoom      = 'r' // send to the room
	verbBroadcast = 'b' // send to all; sluice echo --broadcast-prefix b does the same
)

// Worker returns the handler for the modes Push, Broadcast, Rooms and
// Chat. It echoes every other message.
func Worker() worker.Handler { return worker.Handler{Message: handle} }

func handle(_ context.Context, c worker.Call, m worker.Message) error {
	p := m.Data
	if len(p) > 0 && p[0] == '"' {
		p = p[1:]
	}
	if len(p) > 0 && p[0] == verbBroadcast {
		c.Publish(worker.Everyone(), m)
		return nil
	}
	if len(p) < 1+targetLen {
		c.Send(m)
		return nil
	}
	name := string(p[1 : 1+targetLen])
	switch p[0] {
	case verbPush:
		c.Publish(worker.UID(name), m)
		return nil
	case verbRoom:
		c.Publish(worker.Group(name), m)
		return nil
	case verbWhisper:
		c.Publish(worker.UID(name), m)
	case verbLogin:
		c.Bind(name)
	case verbJoin:
		c.Join(name)
	case verbLeave:
		c.Leave(name)
	}
	c.Send(m)
	return nil
}
