package bench_test

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/codec"
)

// fanOutFloor is the least cost of a fan-out: one write(2) to each client for what one read
// returned. It has no buffers and no state of a client but the codec of a WebSocket, and does not
// handle clients that do not read.
type fanOutFloor struct {
	bareServer
	clients    []int // sockets of those who are open
	buf        [64 << 10]byte
	webSockets map[int]*codec.WebSocket // by socket; a nil map: clients speak text lines
}

// serveFloor runs it until the process ends.
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
	return f.run(func(fd int) error {
		err := serve(f, fd)
		if errors.Is(err, errGone) {
			f.clients = slices.DeleteFunc(f.clients, func(c int) bool { return c == fd })
			delete(f.webSockets, fd)
		}
		return err
	}, func(fd int) {
		if f.webSockets == nil {
			f.clients = append(f.clients, fd)
		}
	}, func() error { return nil })
}

// read appends to the first n bytes of buf, and returns how many there are now.
func (f *fanOutFloor) read(fd, n int) (int, error) {
	more, err := unix.Read(fd, f.buf[n:])
	if err != nil || more == 0 {
		return 0, errGone
	}
	return n + more, nil
}

// serveLines reads whole lines. Broadcasts, which begin with b, go to all clients, others back.
func (f *fanOutFloor) serveLines(fd int) (err error) {
	n := 0
	for n == 0 || f.buf[n-1] != '\n' {
		if n, err = f.read(fd, n); err != nil {
			return err
		}
	}
	return f.send(fd, f.buf[:n], f.buf[0] == 'b')
}

// serveFrames does the same with WebSocket messages.
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

// upgrade answers a handshake, which arrives whole.
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
	return write(fd, response)
}

// send writes to all clients, or back.
func (f *fanOutFloor) send(fd int, b []byte, toAll bool) error {
	if !toAll {
		return write(fd, b)
	}
	for _, c := range f.clients {
		if err := write(c, b); err != nil {
			return err
		}
	}
	return nil
}
