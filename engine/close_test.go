package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCloseReasons(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	tests := map[string]struct {
		handler funcs
		provoke func(c *Conn, nc net.Conn)
		want    error
	}{
		"the peer closes": {funcs{}, func(_ *Conn, nc net.Conn) { nc.Close() }, io.EOF},
		"the peer resets": {
			funcs{}, func(_ *Conn, nc net.Conn) { _ = nc.(*net.TCPConn).SetLinger(0); nc.Close() }, syscall.ECONNRESET,
		},
		"Close in OnData": {
			funcs{data: func(c *Conn, in []byte) int { c.Close(mine); c.Close(io.EOF); return 0 }}, poked, mine,
		},
		"Close when posted":     {funcs{}, func(c *Conn, _ net.Conn) { _ = c.Loop().Post(func() { c.Close(mine) }) }, mine},
		"a panic in OnData":     {funcs{data: func(*Conn, []byte) int { panic("test") }}, poked, ErrPanic},
		"a panic in OnOpen":     {funcs{open: func(*Conn) { panic("test") }}, nil, ErrPanic},
		"Close in OnOpen":       {funcs{open: func(c *Conn) { c.Close(mine) }}, nil, mine},
		"Close and then panic":  {funcs{data: func(c *Conn, _ []byte) int { c.Close(mine); panic("test") }}, poked, mine},
		"CloseAfterFlush early": {funcs{open: func(c *Conn) { c.CloseAfterFlush(mine, 0) }}, nil, mine},
	}
	e := start(t, Config{Tick: 5 * time.Millisecond})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reasons := make(chan error, 2)
			h := test.handler
			conns := make(chan *Conn, 1)
			open := h.open
			h.open = func(c *Conn) {
				conns <- c
				if open != nil {
					open(c)
				}
			}
			h.close = func(_ *Conn, err error) { reasons <- err }
			ln := serve(t, e, h, ListenOptions{})
			nc := dial(t, ln)
			c := receive(t, conns)
			if test.provoke != nil {
				test.provoke(c, nc)
			}
			if err := receive(t, reasons); !errors.Is(err, test.want) {
				t.Errorf("OnClose got %v, want %v", err, test.want)
			}
			on(t, c.Loop(), func() {
				if c.Write(nil) == nil || !c.Closed() || c.loop.conns[c.slot] == c {
					t.Error("the conn lives on")
				}
				harmless(c)
			})
			if len(reasons) > 0 {
				t.Error("OnClose came twice")
			}
		})
	}
}

func poked(_ *Conn, nc net.Conn) { _, _ = nc.Write([]byte("x")) }

// harmless calls every method of a conn that has ended.
func harmless(c *Conn) {
	_ = c.Commit(append(c.Begin(1), 1))
	c.flush()
	c.Pause()
	c.Resume()
	c.Close(nil)
	c.CloseAfterFlush(nil, 0)
	_, _ = c.RemoteAddr(), c.Buffered()
}

// No method of a Conn calls a Handler. A handler that iterates over its conns and closes them does
// not see its own state change meanwhile.
func TestCloseNeverReenters(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	inside := false
	closed := make(chan bool, 8)
	h := funcs{
		data: func(c *Conn, in []byte) int {
			inside = true
			for other := range c.Loop().Conns() {
				other.Close(io.ErrUnexpectedEOF)
			}
			inside = false
			return len(in)
		},
		close: func(*Conn, error) { closed <- inside },
	}
	ln := serve(t, e, h, ListenOptions{})
	for range 3 {
		dial(t, ln)
	}
	eventually(t, "all are open", func() bool { return figures(e)[0].Conns == 3 })
	poked(nil, dial(t, ln))
	for range 4 {
		if receive(t, closed) {
			t.Error("OnClose ran inside OnData")
		}
	}
}

// A panic ends only the connection it happened in.
func TestPanicLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	ln := serve(t, e, funcs{data: func(c *Conn, in []byte) int {
		if in[0] == '!' {
			panic("test")
		}
		return echo(c, in)
	}}, ListenOptions{})
	calm, bad := dial(t, ln), dial(t, ln)
	if _, err := io.WriteString(bad, "!"); err != nil {
		t.Fatal(err)
	}
	if _, err := bad.Read(make([]byte, 1)); err == nil {
		t.Error("the conn whose handler panicked lives on")
	}
	_ = e.Loops()[0].Post(func() { panic("test") })
	if _, err := io.WriteString(calm, "?"); err != nil {
		t.Fatal(err)
	}
	readN(t, calm, 1)
	if n := figures(e)[0].Panics; n != 2 {
		t.Errorf("%d panics were counted", n)
	}
}

// Descriptors are reused at once. A write to a conn that has ended must never reach the new owner
// of its descriptor.
func TestEndedConnIsNeverWritten(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	var ended []*Conn // owned by the loop
	h := funcs{close: func(c *Conn, _ error) { ended = append(ended, c) }}
	ln := serve(t, e, h, ListenOptions{})
	for round := range 20 {
		dial(t, ln).Close()
		eventually(t, "the conn has ended", func() bool { return figures(e)[0].Closed == uint64(2*round+1) })
		nc := dial(t, ln)
		eventually(t, "the next is open", func() bool { return figures(e)[0].Conns == 1 })
		on(t, e.Loops()[0], func() {
			for _, c := range ended {
				_ = c.Write([]byte("secret"))
				c.flush()
			}
			for c := range e.Loops()[0].Conns() {
				_ = c.Write([]byte("public"))
				c.CloseAfterFlush(nil, patience)
			}
		})
		if got, err := io.ReadAll(nc); string(got) != "public" {
			t.Fatalf("got %q, %v", got, err)
		}
		nc.Close()
		eventually(t, "it has ended too", func() bool { return figures(e)[0].Conns == 0 })
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	c, nc := opened(t, e, funcs{}, ConnOptions{})
	on(t, c.Loop(), func() {
		if c.RemoteAddr() != netip.MustParseAddrPort(nc.LocalAddr().String()) {
			t.Errorf("RemoteAddr %v, want %v", c.RemoteAddr(), nc.LocalAddr())
		}
		if kept, _ := c.g.RemoteAddr().(*net.TCPAddr); kept == nil || kept.IP != nil {
			t.Errorf("gnet keeps %v for nobody", kept)
		}
		if c.loop.conns[c.slot] != c {
			t.Error("the conn is not at its slot")
		}
	})
}

func ExampleEngine() {
	e, _ := New(Config{Loops: 1})
	ln, _ := e.Listen("tcp", "127.0.0.1:0", ListenOptions{
		Accept: func(netip.AddrPort) Handler { return funcs{data: echo} },
	})
	nc, _ := net.Dial("tcp", ln.Addr().String())
	_, _ = fmt.Fprint(nc, "hello")
	b := make([]byte, 5)
	_, _ = io.ReadFull(nc, b)
	fmt.Println(string(b))
	nc.Close()
	_ = e.Stop(context.Background())
	// Output: hello
}

// Bytes that a peer sent before it died are delivered, even if our next write finds the connection
// broken before our next read. The kernel discards unread bytes in such a write. OnData is called a
// last time, with the bytes left before in front, and writes have no effect any more.
func TestAPeersLastBytesAreRead(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	for _, paused := range []bool{false, true} {
		t.Run(fmt.Sprintf("paused=%v", paused), func(t *testing.T) {
			t.Parallel()
			conns, received, closed := make(chan *Conn, 1), make(chan string, 8), make(chan error, 1)
			h := funcs{
				open: func(c *Conn) { conns <- c },
				data: func(c *Conn, in []byte) int { // lines
					n := bytes.LastIndexByte(in, '\n') + 1
					if n > 0 {
						received <- string(in[:n])
					}
					return n
				},
				close: func(_ *Conn, err error) { closed <- err },
			}
			ln := serve(t, e, h, ListenOptions{Conn: ConnOptions{Retain: true}})
			nc := dial(t, ln)
			c := receive(t, conns)
			if _, err := nc.Write([]byte("first\nla")); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, received); got != "first\n" {
				t.Fatalf("%q", got)
			}
			on(t, c.Loop(), func() { // so that the loop does not read meanwhile
				if paused {
					c.Pause()
				}
				_ = c.Write([]byte("unread, so that the peer's end is a reset"))
				c.flush()
				if _, err := nc.Write([]byte("st\n")); err != nil {
					t.Error(err)
				}
				waitReadable(t, nc)
				nc.Close()
				waitBroken(t, c)
				_ = c.Write([]byte("more"))
				c.flush()
			})
			if got := receive(t, received); got != "last\n" {
				t.Errorf("%q is received, not the last line", got)
			}
			if err := receive(t, closed); err == nil {
				t.Error("no reason")
			}
		})
	}
}

// waitReadable waits until the kernel has bytes that nc has not read.
func waitReadable(t *testing.T, nc net.Conn) {
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
		return n > 0 || err != unix.EAGAIN
	})
}

// waitBroken waits until the kernel knows that c's peer has reset the connection.
func waitBroken(t *testing.T, c *Conn) {
	poll := []unix.PollFd{{Fd: int32(c.g.Fd())}}
	if n, err := unix.Poll(poll, int(patience.Milliseconds())); n != 1 || err != nil {
		t.Errorf("the connection is not broken: %v", err)
	}
}
