//go:build unix

package worker

import (
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// polled is a TCP connection to a gateway whose reader waits in poll(2) while the link is busy. A reader that waits in the runtime's poller is parked, and another thread has to be
// woken to wake it: at a hundred thousand messages a second that costs as much as the handlers. When nothing comes for patience, the reader waits in the runtime's poller, as one of
// any connection of Go's does: a thread held by an idle link would be a waste.
//
// A reader in poll(2) holds one of Go's processors (a P). So at most GOMAXPROCS-1 readers of a worker are there at a time; the others wait in the runtime's poller.
type polled struct {
	net.Conn
	raw   syscall.RawConn
	count *atomic.Int32 // readers in poll(2), of all links of the worker

	// Owned by the reader.
	b         []byte // bound: none, the caller's
	n         int
	err       error
	brisk     bool                  // the last wait was a short one
	scheduled time.Time             // when it last came by Go's scheduler
	read      func(fd uintptr) bool // attempt, made once, so that no call allocates
}

// patience is how long a reader waits in poll(2) before it goes to the runtime's poller.
const patience = 10 * time.Millisecond

// slice is how long a reader that finds something each time goes on before it comes by Go's scheduler. After 10 ms without that the runtime's monitor would take its
// processor at a system call, and look what all are doing every 20 µs for a while.
const slice = 4 * time.Millisecond

// poll makes a connection one that is read so. One that has no descriptor it returns as it is.
func poll(conn net.Conn, count *atomic.Int32) net.Conn {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return conn
	}
	p := &polled{Conn: conn, raw: raw, count: count}
	p.read = p.attempt
	return p
}

// Read implements net.Conn, for one reader at a time.
func (p *polled) Read(b []byte) (int, error) {
	since := time.Now()
	if since.Sub(p.scheduled) > slice {
		p.scheduled = since
		runtime.Gosched()
	}
	p.b = b
	err := p.raw.Read(p.read)
	p.b = nil
	p.brisk = time.Since(since) < patience
	switch {
	case err != nil:
		return 0, err
	case p.err != nil:
		return 0, p.err
	case p.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return p.n, nil
}

// attempt reads, after a wait in poll(2) where that is due. It reports false when the runtime's poller has to say when to try again.
func (p *polled) attempt(fd uintptr) bool {
	if p.try(fd) || !p.brisk {
		return p.err != syscall.EAGAIN
	}
	if p.brisk = int(p.count.Add(1)) < runtime.GOMAXPROCS(0); p.brisk {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience/time.Millisecond)) // whatever it says, the next read says it too
		p.brisk = p.try(fd)
	}
	p.count.Add(-1)
	return p.err != syscall.EAGAIN
}

// try reads once, and reports whether that said anything.
func (p *polled) try(fd uintptr) bool {
	p.n, p.err = syscall.Read(int(fd), p.b)
	for p.err == syscall.EINTR {
		p.n, p.err = syscall.Read(int(fd), p.b)
	}
	return p.err != syscall.EAGAIN
}

// Close implements net.Conn. It ends a Read that is under way at once, where the kernel would have it wait on.
func (p *polled) Close() error {
	_ = p.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	return p.Conn.Close()
}
