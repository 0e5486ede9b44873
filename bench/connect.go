package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
)

// connect dials connection i, with TLS if its target uses it.
func (g *generator) connect(ctx context.Context, i int) (net.Conn, error) {
	t, addr := g.plan.target(&g.opts, i)
	from, err := g.plan.sources.pick(i, addr)
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

// setOption sets a socket option before the socket is connected.
func setOption(c syscall.RawConn, level, option, value int) (err error) {
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, value) }); e != nil {
		return e
	}
	return err
}

func (c *client) upgrade() []byte {
	g, o := c.shard.run, c.dialOptions()
	t, _ := g.plan.target(&g.opts, int(c.id))
	now := g.epoch(c.shard.now)
	for _, h := range g.plan.headers {
		o.Headers = append(o.Headers, string(h.append(nil, &c.values, 0, now)))
	}
	host := cmp.Or(string(g.plan.host.append(nil, &c.values, 0, now)), t.asked)
	return codec.AppendUpgrade(nil, host, t.path.escaped(&c.values, now), c.key, o)
}

func (c *client) dialOptions() *codec.DialOptions {
	g := c.shard.run
	o := &codec.DialOptions{MaxMessage: maxMessage, Subprotocols: g.plan.subprotocols}
	if f := g.opts.format(c.id); f.Deflate {
		o.Deflate, o.Window = g.deflate, f.Window
	}
	return o
}

// Reasons why a connection could not be made.
var (
	errPorts = errors.New("no local port is left for this server address: dial from more addresses (--source), " +
		"dial more server addresses (--target), or widen net.ipv4.ip_local_port_range; a connection that this " +
		"side has closed keeps its port for a minute (TIME_WAIT), which affects connect and churn first")
	errSource = errors.New("--source: this machine has no such address")
	errFamily = errors.New("--source: no local address has the address family of the server")
	errTLS    = errors.New("tls")
)

// explain adds to a dial error what the system call does not say, and the name of the target.
func (t *target) explain(err error) error {
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		why := errPorts
		if call, ok := errors.AsType[*os.SyscallError](err); ok && call.Syscall == "bind" {
			why = errSource
		}
		err = fmt.Errorf("%w: %w", why, err)
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

// secure makes the TLS handshake on nc.
func (g *generator) secure(ctx context.Context, nc net.Conn, t *target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	c := g.plan.tls.Clone()
	c.ServerName = cmp.Or(c.ServerName, t.host)
	secured := engine.TLSClient(nc, c)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // a handshake that timed out has closed it
		return nil, fmt.Errorf("%s: %w: %w", t.given, errTLS, err)
	}
	return secured, nil
}
