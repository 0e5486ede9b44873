package main

import (
	"context"
	"net"

	"github.com/lxzan/gws"
)

// gwsEcho is an echo on gws: its own server instead of net/http, as its quick start has it, no compression, and one message after the other of a connection
// (ParallelEnabled would answer out of order).
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
	return until(ctx, func() error { return server.RunListener(ln) }, func() error { return nil }) // a closed listener it would try again and again, with a line each; it ends with the process
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
