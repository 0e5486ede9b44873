package bench_test

import (
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fanOutFloor is the least that a fan-out can cost: one thread, and for what one read returned one write(2) to each client. It has no buffers, no state of a client,
// and no idea of what is to happen with one that does not read: its sockets block, and so does it.
type fanOutFloor struct {
	listener, poll int
	clients        []int // their sockets
	buf            [64 << 10]byte
}

// serveFloor runs it until the process is ended.
func serveFloor() error {
	f := &fanOutFloor{}
	port, err := f.listen()
	if err != nil {
		return err
	}
	fmt.Printf("ready text://127.0.0.1:%d\n", port)
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := unix.EpollWait(f.poll, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if fd := int(e.Fd); fd == f.listener {
				err = f.accept()
			} else {
				err = f.serve(fd)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (f *fanOutFloor) listen() (port int, err error) {
	if f.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return 0, fmt.Errorf("epoll_create1: %w", err)
	}
	if f.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(f.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(f.listener, 1024); err != nil {
		return 0, fmt.Errorf("listen: %w", err)
	}
	sa, err := unix.Getsockname(f.listener)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	return sa.(*unix.SockaddrInet4).Port, f.watch(f.listener)
}

// watch has epoll tell of the socket.
func (f *fanOutFloor) watch(fd int) error {
	if err := unix.EpollCtl(f.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (f *fanOutFloor) accept() error {
	fd, _, err := unix.Accept4(f.listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("accept4: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("setsockopt: %w", err)
	}
	f.clients = append(f.clients, fd)
	return f.watch(fd)
}

// serve reads what a client has sent, whole lines: broadcasts go to all, anything else back. A client that is gone is no error.
func (f *fanOutFloor) serve(fd int) error {
	n := 0
	for n == 0 || f.buf[n-1] != '\n' {
		more, err := unix.Read(fd, f.buf[n:])
		if err != nil || more == 0 {
			f.clients = slices.DeleteFunc(f.clients, func(c int) bool { return c == fd })
			return unix.Close(fd)
		}
		n += more
	}
	if f.buf[0] != 'b' {
		return f.write(fd, n)
	}
	for _, c := range f.clients {
		if err := f.write(c, n); err != nil {
			return err
		}
	}
	return nil
}

// write is write(2) of the first n bytes and nothing else: not even Go's scheduler is told of it.
func (f *fanOutFloor) write(fd, n int) error {
	wrote, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&f.buf[0])), uintptr(n))
	switch {
	case err == syscall.EPIPE || err == syscall.ECONNRESET:
		return nil // reading tells
	case err != 0:
		return fmt.Errorf("write: %w", err)
	case int(wrote) != n:
		return fmt.Errorf("write: %d of %d bytes", wrote, n)
	}
	return nil
}
