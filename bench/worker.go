package bench

import (
	"context"

	"github.com/seed-7410fe32/sluice/worker"
)

// The verbs that a message begins with, after JSON's quote, where the mode needs the bench worker.
const (
	verbNothing   = 'n' // goes back, as everything without a verb does
	verbLogin     = 'h' // bind this uid; goes back
	verbJoin      = 'j' // join this room; goes back
	verbLeave     = 'l' // leave this room; goes back
	verbPush      = 'p' // to the uid
	verbWhisper   = 'w' // to the uid, and back
	verbRoom      = 'r' // to the room
	verbBroadcast = 'b' // to all; sluice echo --broadcast-prefix b serves it too
)

// Worker returns the business code behind the modes push, broadcast, rooms and chat. Every other
// message goes back to its sender.
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
