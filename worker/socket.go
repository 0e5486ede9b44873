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

// polled is a TCP connection to a gateway. While the link is busy its reader waits in poll(2). A
// reader that waits in the runtime's poller is parked, and another thread must be woken to wake it.
// At a hundred thousand messages a second that costs as much as the handlers. When nothing arrives
// for pollTime, the reader waits in the runtime's poller, as for any connection, because an idle
// link should not occupy a thread.
//
// A reader in poll(2) occupies one of Go's processors (a P). Therefore at most GOMAXPROCS-1 readers
// of a worker are in poll(2) at a time; the others wait in the runtime's poller.
type polled struct {
	net.Conn
	raw   syscall.RawConn
	count *atomic.Int32 // readers in poll(2), of all links of the worker

	// Owned by the reader.
	b         []byte // bound: none, the caller's
	n         int
	err       error
	brisk     bool                  // the last wait was short
	scheduled time.Time             // when the reader last called Go's scheduler
	read      func(fd uintptr) bool // the method value attempt, made once so that Read does not allocate
}

// pollTime is how long a reader waits in poll(2) before it goes to the runtime's poller.
const pollTime = 10 * time.Millisecond

// timeSlice is how long a reader that always finds data runs before it calls Go's scheduler. After
// 10 ms the runtime's monitor would take the reader's processor away during a system call, and
// would then check all processors every 20 us for a while.
const timeSlice = 4 * time.Millisecond

// poll returns a connection that reads conn with poll(2), or conn itself if it has no descriptor.
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

// Read implements net.Conn. It must be called by one goroutine at a time.
func (p *polled) Read(b []byte) (int, error) {
	since := time.Now()
	if since.Sub(p.scheduled) > timeSlice {
		p.scheduled = since
		runtime.Gosched()
	}
	p.b = b
	err := p.raw.Read(p.read)
	p.b = nil
	p.brisk = time.Since(since) < pollTime
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

// attempt reads, if necessary after a wait in poll(2). It returns false if the runtime's poller
// must wait before the next attempt.
func (p *polled) attempt(fd uintptr) bool {
	if p.try(fd) || !p.brisk {
		return p.err != syscall.EAGAIN //nolint:errorlint // a system call returns a bare Errno
	}
	if p.brisk = int(p.count.Add(1)) < runtime.GOMAXPROCS(0); p.brisk {
		// The result does not matter: the next read returns the same error or the data.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(pollTime/time.Millisecond))
		p.brisk = p.try(fd)
	}
	p.count.Add(-1)
	return p.err != syscall.EAGAIN //nolint:errorlint // a system call returns a bare Errno
}

// try reads once. It returns false if there is nothing to read.
func (p *polled) try(fd uintptr) bool {
	p.n, p.err = syscall.Read(int(fd), p.b)
	for p.err == syscall.EINTR { //nolint:errorlint // a system call returns a bare Errno
		p.n, p.err = syscall.Read(int(fd), p.b)
	}
	return p.err != syscall.EAGAIN //nolint:errorlint // a system call returns a bare Errno
}

// Close implements net.Conn. It ends a Read that is in poll(2) at once.
func (p *polled) Close() error {
	_ = p.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	return p.Conn.Close()
}
