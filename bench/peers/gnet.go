package main

import (
	"context"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
)

// rawEcho gives bytes back as they come: one hop, and no idea of a message. It is the floor.
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

// gnetSite is what the gnet servers have in common: where they are, and how they start and end.
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
	ln, err := net.FileListener(f) // knows the address that the kernel gave
	if err != nil {
		return gnet.Shutdown
	}
	defer func() { _ = ln.Close() }()
	g.ready(ln.Addr())
	return gnet.None
}

// run serves until ctx ends.
func (g *gnetSite) run(ctx context.Context, h gnet.EventHandler) error {
	return until(ctx, func() error { return gnet.Run(h, "tcp4://"+g.listen, gnet.WithNumEventLoop(g.loops)) }, func() error { return nil }) // its connections end with the process
}
