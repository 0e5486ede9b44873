package admin

import (
	"net"
	"sync"
)

// maxConns is how many connections an admin listener has at most. Further ones wait in the kernel.
const maxConns = 256

// limited is a listener with at most so many open connections as slots has room for.
type limited struct {
	net.Listener
	slots chan struct{} // one value for each connection; bound: none, its capacity
	done  chan struct{} // closed by Close
	once  sync.Once
}

func limitConns(l net.Listener, most int) *limited {
	return &limited{Listener: l, slots: make(chan struct{}, most), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// limitedConn is a connection that frees its slot when it is closed.
type limitedConn struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.free()
	return err
}
