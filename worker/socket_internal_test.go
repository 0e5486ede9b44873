package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// sockets returns a TCP connection that is read with poll(2), and its peer.
func sockets(t *testing.T) (*polled, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, ok := poll(conn, new(atomic.Int32)).(*polled)
	if !ok {
		t.Fatal("a connection of the net package is not read by poll(2)")
	}
	t.Cleanup(func() { _, _ = s.Close(), peer.Close() })
	return s, peer
}

// await waits until a condition is true.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not so: %s", what)
		}
	}
}

// TestSocket sends more than the kernel's buffers hold in both directions, to readers that pause.
// No bytes are lost or mixed up, and the end is an EOF.
func TestSocket(t *testing.T) {
	t.Parallel()
	s, peer := sockets(t)
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
}

// TestSocketSleeps has a peer that answers at once and is then silent. The reader waits in poll(2)
// first, and in the runtime's poller after a while.
func TestSocketSleeps(t *testing.T) {
	t.Parallel()
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("NOT TESTED: with one processor no reader waits in poll(2)")
	}
	s, peer := sockets(t)
	for range 3 {
		s.brisk = true
		read := make(chan struct{})
		go func() {
			defer close(read)
			var in [1]byte
			if n, err := s.Read(in[:]); n != 1 || err != nil {
				t.Error(n, err)
			}
		}()
		await(t, "the reader has left poll(2)", func() bool { return s.count.Load() == 0 && waitsForNetwork(s) })
		if _, err := peer.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		<-read
		if s.brisk {
			t.Error("a long wait counts as a short one")
		}
	}
}

// waitsForNetwork reports whether a goroutine is parked in a Read of the socket.
func waitsForNetwork(s *polled) bool {
	var stacks []byte // of all goroutines: other tests may have thousands
	for n := 0; n == len(stacks); n = runtime.Stack(stacks, true) {
		stacks = make([]byte, max(1<<20, 2*len(stacks)))
	}
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "IO wait") && strings.Contains(stack, fmt.Sprintf("(*polled).Read(%p", s)) {
			return true
		}
	}
	return false
}

// TestPollPlaces checks that one of Go's processors stays free.
func TestPollPlaces(t *testing.T) {
	t.Parallel()
	s, peer := sockets(t)
	most := int32(runtime.GOMAXPROCS(0) - 1)
	s.count.Store(most)
	s.brisk = true
	read := make(chan struct{})
	go func() {
		defer close(read)
		var in [1]byte
		if n, err := s.Read(in[:]); n != 1 || err != nil {
			t.Error(n, err)
		}
	}()
	await(t, "the reader waits in the runtime's poller", func() bool { return waitsForNetwork(s) })
	if n := s.count.Load(); n != most {
		t.Errorf("%d readers in poll(2), want %d", n, most)
	}
	_, _ = peer.Write([]byte{1})
	<-read
}

// TestSocketCloses ends calls that are running, wherever they wait, and later ones.
func TestSocketCloses(t *testing.T) {
	t.Parallel()
	read := func(s *polled) error { _, err := s.Read(make([]byte, 1)); return err }
	write := func(s *polled) error { _, err := s.Write(make([]byte, 64<<20)); return err }
	for _, c := range []struct {
		name  string
		call  func(*polled) error
		brisk bool
	}{
		{"read in poll(2)", read, true},
		{"read asleep", read, false},
		{"write", write, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := sockets(t)
			s.brisk = c.brisk
			begun, ended := make(chan struct{}), make(chan error)
			go func() {
				close(begun)
				ended <- c.call(s)
			}()
			<-begun
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
		})
	}
}

// TestPollLeavesOthers uses connections without a descriptor.
func TestPollLeavesOthers(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	for _, c := range []net.Conn{near, &net.TCPConn{}} {
		if got := poll(c, nil); got != c {
			t.Errorf("%T is read by poll(2)", c)
		}
	}
}

// TestSocketAllocatesNothing has a peer that answers at once. Not parallel: all allocations of the
// process are counted.
func TestSocketAllocatesNothing(t *testing.T) {
	s, peer := sockets(t)
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
	await(t, "the reader waits in poll(2)", func() bool { turn(); return s.brisk })
	if n := testing.AllocsPerRun(1000, turn); n > 0 {
		t.Errorf("%v allocations a turn", n)
	}
}
