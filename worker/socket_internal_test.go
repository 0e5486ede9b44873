package worker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// sockets makes a connection over TCP or a Unix socket: a socket of ours, and its peer.
func sockets(t *testing.T, network string) (*socket, net.Conn) {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	conn, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, ok := takeOver(conn).(*socket)
	if !ok {
		t.Fatal("a connection of the net package was not taken over")
	}
	if _, err := conn.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the old connection: %v", err)
	}
	t.Cleanup(func() { _, _ = s.Close(), peer.Close() })
	return s, peer
}

// isAsleep reports whether the runtime's poller knows the socket.
func (s *socket) isAsleep() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asleep != nil
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not so: %s", what)
		}
	}
}

// TestSocket moves more than the kernel's buffers hold both ways, by readers that do not always read: neither side's bytes are lost or mixed up, and the end is an EOF.
func TestSocket(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s, peer := sockets(t, network)
			there, back := make([]byte, 32<<20), make([]byte, 32<<20)
			for i := range there {
				there[i], back[i] = byte(i>>8), byte(i>>9)
			}
			written := make(chan error, 2)
			go func() {
				n, err := s.Write(there)
				if n != len(there) && err == nil {
					err = io.ErrShortWrite
				}
				written <- err
			}()
			in := make([]byte, len(there)+1)
			if n, err := io.ReadFull(peer, in[:1000]); err != nil {
				t.Fatal(n, err)
			}
			go func() {
				_, err := peer.Write(back)
				written <- errors.Join(err, peer.(interface{ CloseWrite() error }).CloseWrite())
			}()
			got, err := io.ReadAll(s)
			if err != nil || !bytes.Equal(got, back) {
				t.Errorf("%d of %d bytes back, %v", len(got), len(back), err)
			}
			if _, err := io.ReadFull(peer, in[1000:len(there)]); err != nil || !bytes.Equal(in[:len(there)], there) {
				t.Errorf("the way there: %v", err)
			}
			if err := errors.Join(<-written, <-written); err != nil {
				t.Error(err)
			}
			if s.RemoteAddr().String() != peer.LocalAddr().String() {
				t.Errorf("the peer is at %v, and not at %v", peer.LocalAddr(), s.RemoteAddr())
			}
		})
	}
}

// TestSocketSleeps has a peer that answers at once, then is silent: the poller knows the socket only while it is.
func TestSocketSleeps(t *testing.T) {
	t.Parallel()
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("NOT TESTED: with one processor every socket is the poller's")
	}
	s, peer := sockets(t, "tcp")
	go func() { _, _ = io.Copy(peer, peer) }()
	var out, in [1]byte
	turn := func() {
		if _, err := s.Write(out[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(in[:]); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		await(t, "the reader waits in the kernel itself", func() bool { turn(); return s.brisk && !s.isAsleep() })
		read := make(chan struct{})
		go func() {
			defer close(read)
			if n, err := s.Read(in[:]); n != 1 || err != nil {
				t.Error(n, err)
			}
		}()
		await(t, "the socket is the poller's", s.isAsleep)
		if _, err := s.Write(out[:]); err != nil {
			t.Fatal(err)
		}
		<-read
	}
}

// TestPollPlaces leaves one of Go's processors to all else.
func TestPollPlaces(t *testing.T) {
	t.Parallel()
	var p pollPlaces
	most := runtime.GOMAXPROCS(0) - 1
	for range 2 {
		for i := range most {
			if !p.take() {
				t.Fatalf("place %d of %d was not given", i+1, most)
			}
		}
		if p.take() {
			t.Fatalf("%d places were given", most+1)
		}
		for range most {
			p.leave()
		}
	}
}

// watched tells whether another descriptor of a socket was asked for, which is how a call begins to wait in the poller, and gives none if it is the last one.
type watched struct {
	syscall.RawConn
	last  bool
	asked atomic.Bool
}

func (w *watched) Control(f func(uintptr)) error {
	w.asked.Store(true)
	if w.last {
		return syscall.EMFILE
	}
	return w.RawConn.Control(f)
}

// TestSocketWithoutDescriptors has no descriptor left for the poller: it reads and writes all the same.
func TestSocketWithoutDescriptors(t *testing.T) {
	t.Parallel()
	s, peer := sockets(t, "tcp")
	s.raw = &watched{RawConn: s.raw, last: true}
	go func() {
		_, _ = io.Copy(peer, peer)
		_ = peer.Close()
	}()
	out, in := make([]byte, 16<<20), make([]byte, 16<<20)
	written := make(chan error, 1)
	go func() {
		_, err := s.Write(out)
		written <- err
	}()
	if n, err := io.ReadFull(s, in); err != nil {
		t.Error(n, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if s.isAsleep() {
		t.Error("there was a descriptor after all")
	}
}

// TestSocketCloses ends calls that are under way, wherever they wait, and those that come later.
func TestSocketCloses(t *testing.T) {
	t.Parallel()
	read := func(s *socket) error { _, err := s.Read(make([]byte, 1)); return err }
	write := func(s *socket) error { _, err := s.Write(make([]byte, 64<<20)); return err }
	for _, c := range []struct {
		name        string
		call        func(*socket) error
		brisk, last bool
	}{
		{"read in the kernel", read, true, false},
		{"read asleep", read, false, false},
		{"write", write, false, false},
		{"read without the poller", read, false, true},
		{"write without the poller", write, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := sockets(t, "tcp")
			raw := s.raw
			w := &watched{RawConn: raw, last: c.last}
			s.raw, s.brisk = w, c.brisk
			ended := make(chan error)
			go func() { ended <- c.call(s) }()
			await(t, "the call is under way", func() bool { return w.asked.Load() || c.brisk && places.taken.Load() > 0 })
			if c.last { // which Close has no descriptor for either, here
				_ = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
			}
			_ = s.Close()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("no error")
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it is still under way")
			}
			if n, err := s.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Error("a read after the end:", n, err)
			}
			if _, err := s.Write(make([]byte, 1)); err == nil {
				t.Error("a write after the end")
			}
			if s.isAsleep() {
				t.Error("the poller's descriptor is left")
			}
		})
	}
}

// TestTakeOverLeavesOthers has connections without a descriptor.
func TestTakeOverLeavesOthers(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	for _, c := range []net.Conn{near, &net.TCPConn{}} {
		if got := takeOver(c); got != c {
			t.Errorf("%T was taken over", c)
		}
	}
}

// TestSocketAllocatesNothing has a peer that answers at once. Not parallel: all allocations of the process are counted.
func TestSocketAllocatesNothing(t *testing.T) {
	s, peer := sockets(t, "tcp")
	go func() {
		b := make([]byte, 1)
		for {
			if _, err := peer.Read(b); err != nil {
				return
			}
			if _, err := peer.Write(b); err != nil {
				return
			}
		}
	}()
	b := make([]byte, 1)
	turn := func() {
		_, _ = s.Write(b)
		_, _ = s.Read(b)
	}
	await(t, "the reader waits in the kernel itself", func() bool { turn(); return !s.isAsleep() || runtime.GOMAXPROCS(0) == 1 })
	if n := testing.AllocsPerRun(1000, turn); n > 0 {
		t.Errorf("%v allocations a turn", n)
	}
}
