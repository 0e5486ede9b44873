package bench_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// hopsFloor is the least cost of a second hop. What one read of a client returned goes down
// one connection to a peer, shared by many clients, after its length and the client's socket,
// and comes back the same way. It looks at no message and keeps no state of a client. What it
// has sent is lost if the peer dies.
type hopsFloor struct {
	bareServer
	link     int // to the peer
	up, down []byte
}

const (
	hopHeader = 8         // bytes: length, socket
	hopBatch  = 128 << 10 // bytes that go to the peer, or are read from it, at once
	hopRead   = 64 << 10  // bytes read from a client at once
)

// serveHops runs the first process until it ends.
func serveHops() error {
	h := &hopsFloor{down: make([]byte, 0, 2*hopBatch)}
	port, err := h.listen()
	if err != nil {
		return err
	}
	inner, innerPort, err := listen()
	if err != nil {
		return err
	}
	fmt.Printf("ready text://127.0.0.1:%d peer://127.0.0.1:%d\n", port, innerPort)
	if h.link, err = accept(inner); err != nil {
		return err
	}
	if err := unix.SetNonblock(h.link, true); err != nil {
		return fmt.Errorf("fcntl: %w", err)
	}
	if err := h.watch(h.link); err != nil {
		return err
	}
	return h.run(h.serve, func(int) {}, h.push)
}

// serve reads whole lines from a client, or data from the peer.
func (h *hopsFloor) serve(fd int) error {
	if fd == h.link {
		return h.pull()
	}
	start := len(h.up)
	h.up = append(h.up, make([]byte, hopHeader)...)
	for h.up[len(h.up)-1] != '\n' {
		h.up = slices.Grow(h.up, hopRead)
		n, err := unix.Read(fd, h.up[len(h.up):len(h.up)+hopRead])
		if err != nil || n == 0 {
			h.up = h.up[:start]
			return errGone
		}
		h.up = h.up[:len(h.up)+n]
	}
	binary.NativeEndian.PutUint32(h.up[start:], uint32(len(h.up)-start-hopHeader))
	binary.NativeEndian.PutUint32(h.up[start+4:], uint32(fd))
	if len(h.up) < hopBatch {
		return nil
	}
	if err := h.push(); err != nil {
		return err
	}
	return h.pull()
}

// push sends everything received to the peer. While the peer does not read, it passes on what the
// peer has sent: the peer waits for the same.
func (h *hopsFloor) push() error {
	for sent := 0; sent < len(h.up); {
		n, err := move(syscall.SYS_WRITE, h.link, h.up[sent:])
		switch err {
		case 0:
			sent += n
			continue
		case syscall.EAGAIN, syscall.EINTR:
		default:
			return fmt.Errorf("write to the peer: %w", err)
		}
		ready := []unix.PollFd{{Fd: int32(h.link), Events: unix.POLLIN | unix.POLLOUT}}
		if _, err := unix.Poll(ready, -1); err != nil && err != unix.EINTR {
			return fmt.Errorf("poll: %w", err)
		}
		if err := h.pull(); err != nil {
			return err
		}
	}
	h.up = h.up[:0]
	return nil
}

// pull reads once from the peer, and writes the bytes of each client to it.
func (h *hopsFloor) pull() error {
	have := len(h.down)
	h.down = slices.Grow(h.down, hopBatch)
	n, err := move(syscall.SYS_READ, h.link, h.down[have:have+hopBatch])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil
	case err != 0 || n == 0:
		return fmt.Errorf("the peer has gone: %w", err)
	}
	in := h.down[:have+n]
	for len(in) >= hopHeader {
		end := hopHeader + int(binary.NativeEndian.Uint32(in))
		if len(in) < end {
			break
		}
		if err := write(int(binary.NativeEndian.Uint32(in[4:])), in[hopHeader:end]); err != nil {
			return err
		}
		in = in[end:]
	}
	h.down = h.down[:copy(h.down[:cap(h.down)], in)]
	return nil
}

// servePeer runs the second process, an echo.
func servePeer() error {
	host, port, err := net.SplitHostPort(os.Getenv(peerEnv))
	if err != nil {
		return err
	}
	to := unix.SockaddrInet4{Addr: [4]byte(net.ParseIP(host).To4())}
	if to.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := unix.Connect(fd, &to); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	fmt.Println("ready ")
	for buf := make([]byte, hopBatch); ; {
		n, err := move(syscall.SYS_READ, fd, buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err != 0 || n == 0:
			return nil // the first process has ended
		}
		if err := write(fd, buf[:n]); err != nil {
			return err
		}
	}
}
