package bench

import (
	"sluice/worker"
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

// Worker is the business behind the modes push, broadcast, rooms and chat. Every other message goes back to its sender.
type Worker struct{}

// OnMessage implements worker.Handler. Its errors mean that the gateway is gone, and with it whoever would hear of them.
func (Worker) OnMessage(c *worker.Client, m worker.Message) {
	p := m.Data
	if len(p) > 0 && p[0] == '"' {
		p = p[1:]
	}
	if len(p) > 0 && p[0] == verbBroadcast {
		_ = c.Broadcast(m)
		return
	}
	if len(p) < 1+targetLen {
		_ = c.Send(m)
		return
	}
	name := string(p[1 : 1+targetLen])
	switch p[0] {
	case verbPush:
		_ = c.SendUID(name, m)
		return
	case verbRoom:
		_ = c.Publish(name, m)
		return
	case verbWhisper:
		_ = c.SendUID(name, m)
	case verbLogin:
		_ = c.Bind(name)
	case verbJoin:
		_ = c.Join(name)
	case verbLeave:
		_ = c.Leave(name)
	}
	_ = c.Send(m)
}
