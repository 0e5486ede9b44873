package workertest

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
	"github.com/seed-7410fe32/sluice/worker"
)

// frame handles a frame from the worker. It returns false if the link must end.
func (g *Gateway) frame(w *wire, f *link.Frame) bool {
	switch f.Type {
	case link.Unit:
		for in := f.Payload; len(in) > 0; {
			var inner link.Frame
			n, err := link.Next(in, link.MaxFrame, &inner)
			if n == 0 || err != nil {
				return false
			}
			in = in[n:]
			g.command(w, &inner)
		}
		g.admit(f)
	case link.Invoke:
		g.invoke(w, f.ID, slices.Clone(f.Payload))
	case link.Ping:
		w.send(&link.Frame{Type: link.Pong, ID: f.ID})
	case link.Drain:
		g.handOver(w)
	case link.Authenticates:
	case link.Identity:
		return g.identified(f)
	case link.GoAway:
		return false
	default:
		g.command(w, f)
		if f.Type == link.Send && f.Has(link.FlagHandled) {
			g.admit(f)
		}
	}
	return true
}

// invoke answers an Invoke of the worker on a goroutine of its own, which ends with the test.
func (g *Gateway) invoke(w *wire, id uint32, payload []byte) {
	g.mu.Lock()
	f := g.onInvoke
	g.mu.Unlock()
	if f == nil {
		w.send(&link.Frame{Type: link.Reply, ID: id, Code: uint16(link.Refused), Payload: []byte("the test has no OnInvoke")})
		return
	}
	g.invocations.Go(func() {
		answer, err := f(context.Background(), payload)
		reply := link.Frame{Type: link.Reply, ID: id, Payload: answer}
		if err != nil {
			reply.Code, reply.Payload = uint16(link.Failed), []byte(err.Error())
		}
		w.send(&reply)
	})
}

// admit admits the client whose ATTACH a unit acknowledges.
func (g *Gateway) admit(f *link.Frame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.Slot < uint32(len(g.sessions)) && g.sessions[f.Slot].member.ID.Token() == f.Token {
		g.sessions[f.Slot].admitted = true
	}
}

// handOver takes all clients from a worker that drains. The next worker gets them.
func (g *Gateway) handOver(w *wire) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.sessions {
		if c.state == open {
			w.send(&link.Frame{
				Type: link.Detach, Flags: link.FlagMoved, Slot: c.member.ID.Slot(), Token: c.member.ID.Token(),
			})
		}
	}
	if g.link == w {
		g.link, g.drained = nil, true
	}
}

// command carries out a command and sends a Reply if one is requested.
func (g *Gateway) command(w *wire, f *link.Frame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	reply := link.Frame{Type: link.Reply, ID: f.ID}
	switch f.Type {
	case link.Publish:
		reply.Payload = binary.BigEndian.AppendUint32(nil, g.publish(f))
	case link.Dissolve:
		reply.Payload = binary.BigEndian.AppendUint32(nil, uint32(g.members.Dissolve(string(f.Payload))))
	case link.Peers: // ignored: there is only one gateway
	case link.Count:
		c := link.Read(f.Payload)
		reply.Payload = g.members.Count(f.Code, c.List(), nil)
		f.Flags |= link.FlagResult
	case link.Select:
		c := link.Read(f.Payload)
		fields, limit, cursor := c.U8(), c.U32(), c.U64()
		rows, next := g.members.Select(fields, f.Code, c.List(), int(limit), cursor, make([]byte, 8))
		binary.BigEndian.PutUint64(rows, next)
		reply.Payload = rows
		f.Flags |= link.FlagResult
	default:
		reply.Code = uint16(g.clientCommand(f, &reply))
	}
	if f.Has(link.FlagResult) {
		w.send(&reply)
	}
}

// clientCommand carries out a command about one client.
func (g *Gateway) clientCommand(f *link.Frame, reply *link.Frame) link.Status {
	if f.Slot >= uint32(len(g.sessions)) {
		return link.Gone
	}
	c := g.sessions[f.Slot]
	if c.member.ID.Token() != f.Token || c.state != open {
		return link.Gone
	}
	m := &c.member
	switch f.Type {
	case link.Send:
		c.receive(f.Payload, f.Flags)
	case link.Kick:
		switch r := link.Read(f.Payload); {
		case !f.Has(link.FlagRefused):
			if f.Has(link.FlagLast) && !f.Has(link.FlagNow) {
				c.receive(f.Payload, f.Flags&link.FlagText)
			}
			c.end(worker.ReasonKicked)
		case len(f.Payload) == 0:
			c.end(worker.ReasonInternal)
		default:
			_ = r.U16() // the code
			c.refusalText = string(r.Rest())
			c.end(worker.ReasonRefused)
		}
	case link.Bind, link.Unbind:
		g.changeUID(m, f)
	case link.Join:
		if !g.members.Join(m, string(f.Payload)) {
			return link.Refused
		}
	case link.Leave:
		g.members.Leave(m, string(f.Payload))
	case link.Set:
		return g.set(m, f, reply)
	default:
		g.tb.Errorf("workertest: the worker sent %v", f.Type)
		return link.BadRequest
	}
	return link.OK
}

func (g *Gateway) set(m *registry.Member, f *link.Frame, reply *link.Frame) link.Status {
	status, tell := g.members.ChangeAttrs(m, f, f.Has(link.FlagOwn))
	if status == link.Conflict {
		reply.Payload = m.AppendAttrs(nil)
	}
	if tell {
		g.refresh(m)
	}
	return status
}

func (g *Gateway) changeUID(m *registry.Member, f *link.Frame) {
	g.clock++
	tell := g.members.ChangeUID(m, f, f.Has(link.FlagOwn), g.clock)
	if f.Has(link.FlagExclusive) {
		g.members.Older([]byte(m.UID()), link.Claim{Time: g.clock, Client: m.ID}, func(old *registry.Member) {
			g.sessions[old.ID.Slot()].end(worker.ReasonReplaced)
		})
	}
	if tell {
		g.refresh(m)
	}
}

// refresh sends the worker the uid and attributes of a client when they differ from what the worker
// knows.
func (g *Gateway) refresh(m *registry.Member) {
	if g.link == nil {
		return
	}
	g.link.send(&link.Frame{Type: link.Attrs, Slot: m.ID.Slot(), Token: m.ID.Token(), Payload: m.AppendState(nil)})
}

func (g *Gateway) publish(f *link.Frame) (delivered uint32) {
	c := link.Read(f.Payload)
	keys := c.List()
	var except []link.ClientID
	for range c.U16() {
		except = append(except, c.ID())
	}
	message := c.Rest()
	if c.Bad() {
		g.tb.Error("workertest: the worker sent a malformed PUBLISH")
		return 0
	}
	g.members.Walk(f.Code, keys, except, func(m *registry.Member) {
		if f.Code == link.TargetAll && !g.sessions[m.ID.Slot()].admitted {
			return
		}
		if g.sessions[m.ID.Slot()].receive(message, f.Flags) {
			delivered++
		}
	})
	return delivered
}
