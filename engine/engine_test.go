package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/validtest"
)

func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	if e, err := New(Config{Loops: 1000}); err == nil {
		stop(t, e)
		t.Error("1,000 loops are taken")
	}
	validtest.Negative(t, Config{Loops: 1}, func(cfg Config) error {
		e, err := New(cfg)
		if err == nil {
			stop(t, e)
		}
		return err
	})
	e := start(t, Config{Loops: 1})
	ln := serve(t, e, funcs{}, ListenOptions{})
	validtest.Negative(t, ConnOptions{}, func(o ConnOptions) error {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return e.Register(nil, nc, funcs{}, o)
	})
	validtest.Negative(t, ListenOptions{Accept: func(netip.AddrPort) Handler { return nil }}, func(o ListenOptions) error {
		ln, err := e.Listen("tcp", "127.0.0.1:0", o)
		if err == nil {
			err = ln.Close()
		}
		return err
	})
	accept := func(netip.AddrPort) Handler { return nil }
	wrong := ListenOptions{Accept: accept, Conn: ConnOptions{Overflow: 4}}
	if _, err := e.Listen("tcp", "127.0.0.1:0", wrong); err == nil {
		t.Error("an Overflow that there is not is taken")
	}
}

// Stop works while clients dial, send and receive. Each open conn gets one OnClose, and nothing can
// be started afterwards.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	var opened, closed, strange atomic.Int64
	h := funcs{
		open: func(*Conn) { opened.Add(1) },
		data: echo,
		close: func(_ *Conn, err error) {
			closed.Add(1)
			if !errors.Is(err, ErrStopped) && !errors.Is(err, io.EOF) {
				strange.Add(1)
			}
		},
	}
	ln := serve(t, e, h, ListenOptions{})
	addr := ln.Addr().String()
	done := make(chan struct{}, 20)
	for range 20 {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				for range 50 {
					_, _ = nc.Write(make([]byte, 2000))
					if _, err := io.ReadFull(nc, make([]byte, 2000)); err != nil {
						break
					}
				}
				nc.Close()
			}
		}()
	}
	eventually(t, "the load runs", func() bool { return closed.Load() > 20 })
	stop(t, e)
	if opened.Load() != closed.Load() || strange.Load() > 0 {
		t.Errorf("%d opened, %d closed, %d for a strange reason", opened.Load(), closed.Load(), strange.Load())
	}
	for range 20 {
		receive(t, done)
	}
	if err := e.Loops()[0].Post(func() {}); !errors.Is(err, ErrStopped) {
		t.Errorf("Post: %v", err)
	}
	_, err := e.Listen("tcp", "127.0.0.1:0", ListenOptions{Accept: func(netip.AddrPort) Handler { return h }})
	if !errors.Is(err, ErrStopped) {
		t.Errorf("Listen: %v", err)
	}
	near, far := net.Pipe()
	defer far.Close()
	if err := e.Register(nil, near, h, ConnOptions{}); !errors.Is(err, ErrStopped) {
		t.Errorf("Register: %v", err)
	}
	if s := figures(e); len(s) != 2 || s[0].Conns != 0 || s[0].Opened == 0 {
		t.Errorf("stats: %+v", s)
	}
	stop(t, e)
}

// Functions posted before Stop run, and Stop obeys its context.
func TestStopRunsWhatWasPosted(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	l := e.Loops()[0]
	started, release := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let() // also when the test fails
	_ = l.Post(func() { close(started); <-release })
	receive(t, started)
	ran := make(chan int, 10)
	for i := range 10 {
		if err := l.Post(func() { ran <- i }); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: %v", err)
	}
	let()
	stop(t, e)
	if len(ran) != 10 {
		t.Errorf("%d of 10 functions ran", len(ran))
	}
}

// Engines start and stop without leaving a descriptor, and do not disturb each other.
func TestEnginesLeaveNothing(t *testing.T) {
	// Not parallel: it counts the descriptors of the process.
	cycle := func() {
		engines := make([]*Engine, 3)
		for i := range engines {
			engines[i] = start(t, Config{PinCPUs: i == 0})
		}
		for i, e := range engines {
			ln := serve(t, e, funcs{data: echo}, ListenOptions{})
			for range 10 {
				nc := dial(t, ln)
				if _, err := nc.Write([]byte{byte(i)}); err != nil {
					t.Fatal(err)
				}
				readN(t, nc, 1)
				defer nc.Close()
			}
		}
		for _, e := range engines {
			stop(t, e)
		}
	}
	cycle()
	before := descriptors(t)
	for range 5 {
		cycle()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors were open before and %d after", before, after)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("NOT TESTED: no /proc/self/fd to count descriptors in")
	}
	return len(entries)
}

func TestRegisterOnAGivenLoop(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 3})
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		outside, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		defer outside.Close()
		for _, l := range append(e.Loops(), nil) {
			near, err := net.Dial(network, outside.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			far, err := outside.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer far.Close()
			var ran *Loop
			h := funcs{open: func(c *Conn) { ran = c.Loop() }, data: echo}
			if err := e.Register(l, near, h, ConnOptions{}); err != nil {
				t.Fatal(err)
			}
			if ran == nil || l != nil && ran != l {
				t.Errorf("OnOpen ran on %v, want %v", ran, l)
			}
			_ = far.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(far, "hello"); err != nil {
				t.Fatal(err)
			}
			if got := string(readN(t, far, 5)); got != "hello" {
				t.Errorf("%s: got %q", network, got)
			}
		}
	}
}

// A conn that the engine cannot register is closed and reported.
func TestRegisterRefusesWhatIsNoSocket(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	near, far := net.Pipe()
	if err := e.Register(nil, near, funcs{}, ConnOptions{}); err == nil {
		t.Error("a pipe was enrolled")
	}
	if _, err := far.Write([]byte("x")); err == nil {
		t.Error("the pipe was not closed")
	}
	for _, l := range e.Loops() {
		if n := l.load.Load(); n != 0 {
			t.Errorf("%d conns are counted", n)
		}
	}
}

// An engine starts however many processors there are. Not parallel: GOMAXPROCS is of the process.
func TestManyProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(300))
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(e.Loops()); n != 256 {
		t.Errorf("%d loops", n)
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
