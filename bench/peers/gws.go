package main

import (
	"context"
	"net"

	"github.com/lxzan/gws"
)

// gwsEcho is an echo on gws with its own server, as in its quick start, without compression.
// Messages of a connection are handled in order, without ParallelEnabled.
type gwsEcho struct {
	gws.BuiltinEventHandler
	everybody[*gws.Conn]
}

func serveGWS(ctx context.Context, s site) error {
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	server := gws.NewServer(&gwsEcho{}, &gws.ServerOption{Recovery: gws.Recovery})
	s.ready(ln.Addr())
	// The listener ends with the process: gws would retry a closed one for ever.
	return until(ctx, func() error { return server.RunListener(ln) }, func() error { return nil })
}

// OnOpen implements gws.Event.
func (e *gwsEcho) OnOpen(c *gws.Conn) { e.add(c) }

// OnClose implements gws.Event.
func (e *gwsEcho) OnClose(c *gws.Conn, _ error) { e.remove(c) }

// OnMessage implements gws.Event.
func (e *gwsEcho) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	if !isBroadcast(m.Bytes()) {
		_ = c.WriteMessage(m.Opcode, m.Bytes())
		return
	}
	b := gws.NewBroadcaster(m.Opcode, m.Bytes())
	defer func() { _ = b.Close() }()
	e.each(func(c *gws.Conn) { _ = b.Broadcast(c) })
}
