package bench_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice/codec"
)

// fanOutFloor is the least that a fan-out can cost: one thread, and for what one read returned one write(2) to each client. It has no buffers, no state of a client but the codec of
// a WebSocket, and no idea of what is to happen with one that does not read: its sockets block, and so does it.
type fanOutFloor struct {
	listener, poll int
	clients        []int // sockets of those who are open
	buf            [64 << 10]byte
	webSockets     map[int]*codec.WebSocket // by socket; a nil map: clients speak text lines
}

var errGone = errors.New("the client is gone")

// serveFloor runs it until the process is ended.
func serveFloor() error {
	f, scheme, serve := &fanOutFloor{}, os.Getenv(floorEnv), (*fanOutFloor).serveLines
	if scheme == "ws" {
		f.webSockets, serve = make(map[int]*codec.WebSocket), (*fanOutFloor).serveFrames
	}
	port, err := f.listen()
	if err != nil {
		return err
	}
	fmt.Printf("ready %s://127.0.0.1:%d\n", scheme, port)
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := unix.EpollWait(f.poll, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if fd := int(e.Fd); fd == f.listener {
				err = f.accept()
			} else if err = serve(f, fd); err == errGone {
				f.clients = slices.DeleteFunc(f.clients, func(c int) bool { return c == fd })
				delete(f.webSockets, fd)
				err = unix.Close(fd)
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
	if f.webSockets == nil {
		f.clients = append(f.clients, fd)
	}
	return f.watch(fd)
}

// read reads behind the first n bytes of buf, and returns how many there are now.
func (f *fanOutFloor) read(fd, n int) (int, error) {
	more, err := unix.Read(fd, f.buf[n:])
	if err != nil || more == 0 {
		return 0, errGone
	}
	return n + more, nil
}

// serveLines reads what a client has sent, whole lines: broadcasts, which begin with b, go to all, anything else back.
func (f *fanOutFloor) serveLines(fd int) (err error) {
	n := 0
	for n == 0 || f.buf[n-1] != '\n' {
		if n, err = f.read(fd, n); err != nil {
			return err
		}
	}
	return f.send(fd, f.buf[:n], f.buf[0] == 'b')
}

// serveFrames does so with a WebSocket's messages.
func (f *fanOutFloor) serveFrames(fd int) error {
	n, err := f.read(fd, 0)
	if err != nil {
		return err
	}
	ws := f.webSockets[fd]
	if ws == nil {
		return f.upgrade(fd, f.buf[:n])
	}
	var out []byte
	toAll := false
	for at := 0; at < n; {
		_, payload, took, _, err := ws.Decode(f.buf[at:n], nil)
		if err == nil && took == 0 { // the rest has not come
			n, err = f.read(fd, n)
		}
		if err != nil {
			return errGone
		}
		if at += took; len(payload) > 0 {
			toAll = toAll || payload[0] == 'b'
			out = ws.Append(out, payload, false)
		}
	}
	return f.send(fd, out, toAll)
}

// upgrade takes a handshake, which comes whole.
func (f *fanOutFloor) upgrade(fd int, in []byte) error {
	req, n, err := codec.ReadRequest(in)
	if n == 0 || err != nil {
		return errGone
	}
	ws, response, err := codec.Upgrade(req, &codec.UpgradeOptions{})
	if err != nil {
		return errGone
	}
	f.webSockets[fd] = ws
	f.clients = append(f.clients, fd)
	return f.write(fd, response)
}

// send writes to all, or back.
func (f *fanOutFloor) send(fd int, b []byte, toAll bool) error {
	if !toAll {
		return f.write(fd, b)
	}
	for _, c := range f.clients {
		if err := f.write(c, b); err != nil {
			return err
		}
	}
	return nil
}

// write is write(2) and nothing else: not even Go's scheduler is told of it.
func (f *fanOutFloor) write(fd int, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	wrote, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	switch {
	case err == syscall.EPIPE || err == syscall.ECONNRESET:
		return nil // reading tells
	case err != 0:
		return fmt.Errorf("write: %w", err)
	case int(wrote) != len(b):
		return fmt.Errorf("write: %d of %d bytes", wrote, len(b))
	}
	return nil
}
