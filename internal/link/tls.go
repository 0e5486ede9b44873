package link

import (
	"crypto/tls"
	"net"
)

// ServerName returns a configuration of a client for the server at addr, which is host:port. If c
// names no server, the host is what the server's certificate must have.
func ServerName(c *tls.Config, addr string) *tls.Config {
	if c.ServerName != "" {
		return c
	}
	named := c.Clone()
	named.ServerName, _, _ = net.SplitHostPort(addr)
	return named
}
