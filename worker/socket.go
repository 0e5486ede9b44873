//go:build unix

package worker

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a link's connection that is fast where a link is busy. The runtime's poller would have the reader parked and a thread of its own woken by whatever comes, to wake the
// reader: at a hundred thousand messages a second that, and the runtime's monitor behind it, cost as much as the handlers. So while what comes is never long in coming the reader
// waits in poll(2) itself, and the poller does not know the socket. When nothing comes for patience it goes to the poller, as any connection of Go's does: a thread held by a link that
// is idle would be a waste.
//
// A reader in poll(2) holds a processor of Go's (a P) too. So at most GOMAXPROCS-1 do at a time, for all else that is to run; the others go to the poller.
type socket struct {
	file   *os.File        // unknown to the poller
	raw    syscall.RawConn // of file
	remote net.Addr

	// Owned by the reader.
	in        attempt
	polled    func(fd uintptr) bool // in.now, after poll
	brisk     bool                  // the last wait was a short one
	scheduled time.Time             // when it last came by Go's scheduler

	out attempt // owned by the writer

	mu     sync.Mutex
	asleep *os.File // guarded by mu: the same socket, known to the poller while the reader waits there; nil: it is not
	closed bool     // guarded by mu
}

// patience is how long a reader waits in the kernel before it goes to the poller.
const patience = 10 * time.Millisecond

// slice is how long a reader that finds something each time goes on before it comes by Go's scheduler. After 10 ms without that the runtime's monitor would take its
// processor at a system call, and look what all are doing every 20 µs for a while.
const slice = 4 * time.Millisecond

// places are those in poll(2), of all links of the process.
var places pollPlaces

type pollPlaces struct{ taken atomic.Int32 }

// take takes a place, if one is free.
func (p *pollPlaces) take() bool {
	if int(p.taken.Add(1)) < runtime.GOMAXPROCS(0) {
		return true
	}
	p.leave()
	return false
}

func (p *pollPlaces) leave() { p.taken.Add(-1) }

// takeOver makes a socket of a connection of the net package, which is not to be used any more. One that has no descriptor, or when there is none to be had, it returns as it is.
func takeOver(conn net.Conn) stream {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return conn
	}
	// A file that is made of a descriptor which would block is none for the poller.
	_ = raw.Control(func(fd uintptr) { err = unix.SetNonblock(int(fd), false) })
	file, dupErr := duplicate(raw)
	_ = raw.Control(func(fd uintptr) { err = errors.Join(err, dupErr, unix.SetNonblock(int(fd), true)) })
	if err != nil {
		if file != nil {
			_ = file.Close()
		}
		return conn
	}
	s := &socket{file: file, remote: conn.RemoteAddr()}
	s.raw, _ = file.SyscallConn() // of an open file it has one
	s.in.init(syscall.Read)
	s.out.init(syscall.Write)
	s.polled = func(fd uintptr) bool { poll(fd, unix.POLLIN); return s.in.now(fd) }
	_ = conn.Close() // the socket lives on in file
	return s
}

// duplicate makes another descriptor of a socket a file: one that the poller knows, if the socket does not block.
func duplicate(raw syscall.RawConn) (file *os.File, err error) {
	e := raw.Control(func(fd uintptr) {
		var n int
		if n, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			file = os.NewFile(uintptr(n), "link")
		}
	})
	return file, errors.Join(e, err)
}

// Read implements io.Reader, for one reader at a time.
func (s *socket) Read(b []byte) (int, error) {
	since := time.Now()
	if since.Sub(s.scheduled) > slice {
		s.scheduled = since
		runtime.Gosched()
	}
	s.in.b = b
	err := s.raw.Read(s.in.now)
	for err == nil && s.in.err == syscall.EAGAIN {
		err = s.wait()
		now := time.Now()
		s.brisk = now.Sub(since) < patience
		since = now
	}
	switch {
	case err != nil:
		return 0, err
	case s.in.err != nil:
		return 0, s.in.err
	case s.in.n == 0:
		return 0, io.EOF
	}
	return s.in.n, nil
}

// wait waits until there is something to read, and reads it. Where the last wait was short, it does so no longer than for patience.
func (s *socket) wait() error {
	if s.brisk && places.take() {
		defer places.leave()
		s.stopWaiting()
		return s.raw.Read(s.polled)
	}
	s.mu.Lock()
	if s.asleep == nil && !s.closed {
		s.asleep, _ = duplicate(s.raw)
	}
	f, closed := s.asleep, s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return os.ErrClosed
	case f == nil: // out of descriptors
		return s.raw.Read(s.polled)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(s.in.done)
}

// stopWaiting has the poller forget the socket.
func (s *socket) stopWaiting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asleep != nil {
		_ = s.asleep.Close()
		s.asleep = nil
	}
}

// Write implements io.Writer, for one writer at a time.
func (s *socket) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		s.out.b = b[n:]
		if err = s.raw.Write(s.out.now); err == nil && s.out.err == syscall.EAGAIN {
			err = s.writeBlocked()
		}
		if err == nil {
			n, err = n+max(s.out.n, 0), s.out.err
		}
	}
	return n, err
}

// writeBlocked writes when the peer, which has not read for a while, takes more.
func (s *socket) writeBlocked() error {
	f, err := duplicate(s.raw)
	if err != nil { // out of descriptors
		s.out.n, s.out.err = 0, nil
		return s.raw.Write(func(fd uintptr) bool { poll(fd, unix.POLLOUT); return true })
	}
	defer func() { _ = f.Close() }()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Write(s.out.done)
}

// poll waits in poll(2), but not for longer than patience. Whatever it says, the next call will say it too.
func poll(fd uintptr, events int16) {
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(patience/time.Millisecond))
}

// Close implements io.Closer: it ends a Read and a Write that are under way, now or when they come to it.
func (s *socket) Close() error {
	_ = s.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	err := s.file.Close()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stopWaiting()
	return err
}

// RemoteAddr is the peer's address.
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// SyscallConn implements syscall.Conn.
func (s *socket) SyscallConn() (syscall.RawConn, error) { return s.raw, nil }

// attempt is a system call that moves bytes and does not block, in the form that a RawConn takes. It is made once, so that no call allocates.
type attempt struct {
	b   []byte // bound: none, the caller's
	n   int
	err error

	done func(fd uintptr) bool // makes the call, and reports whether it need not be made again later
	now  func(fd uintptr) bool // makes the call
}

func (a *attempt) init(call func(fd int, b []byte) (int, error)) {
	a.done = func(fd uintptr) bool {
		a.n, a.err = call(int(fd), a.b)
		for a.err == syscall.EINTR {
			a.n, a.err = call(int(fd), a.b)
		}
		return a.err != syscall.EAGAIN
	}
	a.now = func(fd uintptr) bool {
		a.done(fd)
		return true
	}
}
