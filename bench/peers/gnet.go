package main

import (
	"context"
	"fmt"
	"net"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// rawEcho gives bytes back as they come: one hop, and no idea of a message. It is the floor.
type rawEcho struct{ *gnetSite }

func serveGnet(ctx context.Context, s site) error {
	g := newGnetSite(s)
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
	booted chan gnet.Engine
}

func newGnetSite(s site) *gnetSite { return &gnetSite{site: s, booted: make(chan gnet.Engine, 1)} }

// OnBoot implements gnet.EventHandler.
func (g *gnetSite) OnBoot(e gnet.Engine) gnet.Action {
	addr, err := listenAddr(e)
	if err != nil {
		return gnet.Shutdown
	}
	g.booted <- e
	g.ready(addr)
	return gnet.None
}

// listenAddr is the address that the engine was given by the kernel.
func listenAddr(e gnet.Engine) (net.Addr, error) {
	fd, err := e.Dup()
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	in4, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return nil, fmt.Errorf("listening on %T", sa)
	}
	return &net.TCPAddr{IP: in4.Addr[:], Port: in4.Port}, nil
}

// run serves until ctx ends.
func (g *gnetSite) run(ctx context.Context, h gnet.EventHandler) error {
	ended := make(chan error, 1)
	go func() { ended <- gnet.Run(h, "tcp4://"+g.listen, gnet.WithNumEventLoop(g.loops)) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case e := <-g.booted:
		return e.Stop(context.WithoutCancel(ctx))
	case err := <-ended:
		return err
	}
}
