package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/codec"
)

// connect makes connection i: over TCP, and with TLS over that where its target asks for it.
func (g *generator) connect(ctx context.Context, i int) (net.Conn, error) {
	t, addr := g.plan.target(&g.opts, i)
	from, err := g.plan.froms.source(i, addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.given, err)
	}
	d := net.Dialer{Control: g.control, Timeout: openWithin, LocalAddr: from}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, t.explain(err)
	}
	if !t.tls {
		return nc, nil
	}
	return g.secure(ctx, nc, t)
}

// setOption sets an option of a socket that is not connected yet.
func setOption(c syscall.RawConn, level, option, value int) (err error) {
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, value) }); e != nil {
		return e
	}
	return err
}

// upgrade is c's request for a WebSocket.
func (c *client) upgrade() []byte {
	g, o := c.lane.run, c.dialOptions()
	t, _ := g.plan.target(&g.opts, int(c.id))
	now := g.epoch(c.lane.now)
	for _, h := range g.plan.headers {
		o.Headers = append(o.Headers, string(h.append(nil, &c.who, 0, now)))
	}
	host := t.asked
	if len(g.plan.host) > 0 {
		host = string(g.plan.host.append(nil, &c.who, 0, now))
	}
	return codec.AppendUpgrade(nil, host, t.path.escaped(&c.who, now), c.key, o)
}

// dialOptions are those of c's handshake.
func (c *client) dialOptions() *codec.DialOptions {
	g := c.lane.run
	o := &codec.DialOptions{MaxMessage: maxMessage, Subprotocols: g.plan.subprotocols}
	if f := g.opts.format(c.id); f.Deflate {
		o.Deflate, o.Window = g.deflate, f.Window
	}
	return o
}

// Why a connection could not be made, where the system's own words do not say it.
var (
	errPorts = errors.New("no local port is left for this server address: dial from more addresses (--source), to more of them (--target), or widen net.ipv4.ip_local_port_range; " +
		"a connection that this side has closed keeps its port for a minute (TIME_WAIT), which connect and churn feel first")
	errSource = errors.New("--source: this machine has no such address")
	errFamily = errors.New("--source: no local address is of the family of the server's")
	errTLS    = errors.New("tls")
)

// explain says in words what the system has no good words for, and names the target of an address.
func (t *target) explain(err error) error {
	var call *os.SyscallError
	switch {
	case !errors.Is(err, syscall.EADDRNOTAVAIL):
	case errors.As(err, &call) && call.Syscall == "bind":
		err = fmt.Errorf("%w: %w", errSource, err)
	default:
		err = fmt.Errorf("%w: %w", errPorts, err)
	}
	if !strings.Contains(err.Error(), t.host) {
		return fmt.Errorf("%s: %w", t.given, err)
	}
	return err
}

// kindOf is the ErrorCount.Kind of a connection that could not be made.
func kindOf(err error) string {
	switch {
	case errors.Is(err, errTLS):
		return "tls"
	case errors.Is(err, errPorts):
		return "ports"
	}
	return "dial"
}

// secure makes the TLS handshake on nc and returns the engine's end of the connection.
func (g *generator) secure(ctx context.Context, nc net.Conn, t *target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	c := g.plan.tls.Clone()
	set(&c.ServerName, t.host)
	outer := tls.Client(nc, c)
	err := outer.HandshakeContext(ctx)
	if err == nil {
		var near net.Conn
		if near, err = g.bridge(outer); err == nil {
			return near, nil
		}
	}
	_ = nc.Close() // a handshake that took too long has closed it
	return nil, fmt.Errorf("%s: %w: %w", t.given, errTLS, err)
}
