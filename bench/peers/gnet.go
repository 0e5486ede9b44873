package main

import (
	"context"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
)

// rawEcho returns bytes as they come, without messages. It is the floor.
type rawEcho struct{ *gnetSite }

func serveGnet(ctx context.Context, s site) error {
	g := &gnetSite{site: s}
	return g.run(ctx, &rawEcho{g})
}

// OnTraffic implements gnet.EventHandler.
func (*rawEcho) OnTraffic(c gnet.Conn) gnet.Action {
	b, err := c.Next(-1)
	if err == nil {
		_, err = c.Write(b)
	}
	if err != nil {
		return gnet.Close
	}
	return gnet.None
}

// gnetSite starts and ends a gnet server.
type gnetSite struct {
	gnet.BuiltinEventEngine
	site
}

// OnBoot implements gnet.EventHandler.
func (g *gnetSite) OnBoot(e gnet.Engine) gnet.Action {
	fd, err := e.Dup()
	if err != nil {
		return gnet.Shutdown
	}
	f := os.NewFile(uintptr(fd), "")
	defer func() { _ = f.Close() }()
	ln, err := net.FileListener(f) // its address has the port
	if err != nil {
		return gnet.Shutdown
	}
	defer func() { _ = ln.Close() }()
	g.ready(ln.Addr())
	return gnet.None
}

func (g *gnetSite) run(ctx context.Context, h gnet.EventHandler) error {
	serve := func() error { return gnet.Run(h, "tcp4://"+g.listen, gnet.WithNumEventLoop(g.loops)) }
	return until(ctx, serve, func() error { return nil }) // connections end with the process
}
