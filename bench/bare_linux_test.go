package bench_test

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bareServer is a minimal server: one thread, epoll(7), and blocking sockets.
type bareServer struct{ listener, poll int }

// errGone is returned by serve if the client has gone.
var errGone = errors.New("the client is gone")

// run serves until the process ends or an error occurs. It calls opened for each new socket, serve
// for each socket that can be read, and turned after all sockets of one wait.
func (s *bareServer) run(serve func(fd int) error, opened func(fd int), turned func() error) error {
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := unix.EpollWait(s.poll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if fd := int(e.Fd); fd == s.listener {
				err = s.accept(opened)
			} else if err = serve(fd); errors.Is(err, errGone) {
				err = unix.Close(fd)
			}
			if err != nil {
				return err
			}
		}
		if err := turned(); err != nil {
			return err
		}
	}
}

func (s *bareServer) listen() (port int, err error) {
	if s.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return 0, fmt.Errorf("epoll_create1: %w", err)
	}
	if s.listener, port, err = listen(); err != nil {
		return 0, err
	}
	return port, s.watch(s.listener)
}

// listen returns a socket that listens on a port of the loopback address.
func listen() (fd, port int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, 0, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, 1024); err != nil {
		return 0, 0, fmt.Errorf("listen: %w", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, fmt.Errorf("getsockname: %w", err)
	}
	return fd, sa.(*unix.SockaddrInet4).Port, nil
}

// watch adds the socket to epoll.
func (s *bareServer) watch(fd int) error {
	err := unix.EpollCtl(s.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (s *bareServer) accept(opened func(fd int)) error {
	fd, err := accept(s.listener)
	if err != nil {
		return err
	}
	opened(fd)
	return s.watch(fd)
}

func accept(listener int) (int, error) {
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("accept4: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return 0, fmt.Errorf("setsockopt: %w", err)
	}
	return fd, nil
}

// write is write(2) without Go's scheduler. A signal may cut it short.
func write(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := move(syscall.SYS_WRITE, fd, b)
		switch err {
		case 0:
			b = b[n:]
		case syscall.EINTR:
		case syscall.EPIPE, syscall.ECONNRESET, syscall.EBADF:
			return nil // reading tells, or has told
		default:
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// move is read(2) or write(2).
func move(call uintptr, fd int, b []byte) (int, syscall.Errno) {
	n, _, err := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), err
}
