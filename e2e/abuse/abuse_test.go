package abuse_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// status reads a figure of a process, in kilobytes where it has a unit: VmRSS is what it has in
// memory now, VmHWM the most it ever had.
func status(t *testing.T, pid int, name string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("NOT TESTED: the system does not tell about processes: ", err)
	}
	_, rest, _ := strings.Cut(string(b), "\n"+name+":")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// openFiles counts the descriptors of a process. Those of one socket count as one: a worker's link
// has a second one while nothing comes by it.
func openFiles(t *testing.T, pid int) (n int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sockets := make(map[string]bool)
	for _, file := range list {
		what, err := os.Readlink(dir + file.Name())
		switch {
		case err != nil: // closed since
		case strings.HasPrefix(what, "socket:"):
			sockets[what] = true
		default:
			n++
		}
	}
	return n + len(sockets)
}

// witness sends a line repeatedly and waits for each to come back, until stop is called. stop
// returns the longest wait.
func witness(t *testing.T, addr string) (stop func() time.Duration) {
	t.Helper()
	conn := proctest.Dial(t, addr)
	quit, done := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		longest := time.Duration(0)
		defer func() { done <- longest }()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for in := bufio.NewReader(conn); ; {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			began := time.Now()
			_ = conn.SetDeadline(began.Add(20 * time.Second))
			_, err := io.WriteString(conn, "still here\n")
			line, readErr := in.ReadString('\n')
			if err != nil || readErr != nil || line != "still here\n" {
				t.Errorf("the witness receives %q, %v %v", line, err, readErr)
				return
			}
			longest = max(longest, time.Since(began))
		}
	}()
	return func() time.Duration {
		close(quit)
		return <-done
	}
}

// upgrade opens a WebSocket on a connection.
func upgrade(conn net.Conn) error {
	key, o := codec.NewKey(), &codec.DialOptions{Deflate: codec.NewDeflate()}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(codec.AppendUpgrade(nil, "gateway.example", "/", key, o)); err != nil {
		return err
	}
	var in []byte
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		in = append(in, buf[:n]...)
		if _, taken, err := codec.ReadResponse(in, key, o); err != nil || taken > 0 {
			return err
		}
	}
}

// A flood of connections leaves nothing behind. A third of them send nothing, a third begin a
// handshake, and a third become clients. A connected client is hardly affected.
func TestConnectionFlood(t *testing.T) {
	bin := proctest.Build(t)
	server := proctest.Start(t, nil, bin, "echo", "--listen", "ws://127.0.0.1:0", "--listen", "text://127.0.0.1:0")
	addr := server.Addrs["ws"]
	flood := func(n int) {
		var all sync.WaitGroup
		next := make(chan int)
		for range 50 {
			all.Go(func() {
				for i := range next {
					conn, err := net.Dial("tcp", addr)
					if err != nil {
						t.Error(err)
						continue
					}
					switch i % 3 {
					case 1:
						_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: gateway.exam")
					case 2:
						err = upgrade(conn)
					}
					if err != nil {
						t.Error(err)
					}
					_ = conn.(*net.TCPConn).SetLinger(0) // without it the ports here would run out
					_ = conn.Close()
				}
			})
		}
		for i := range n {
			next <- i
		}
		close(next)
		all.Wait()
	}
	stop := witness(t, server.Addrs["text"])
	flood(1000) // what is allocated once and for all is
	settled := func(files int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); openFiles(t, server.PID) > files; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d descriptors, %d before", openFiles(t, server.PID), files)
			}
		}
	}
	const idle = 40 // of a server with a worker and one client; far less than 1,000
	settled(idle)
	files, memory, threads := openFiles(t, server.PID), status(t, server.PID, "VmRSS"), status(t, server.PID, "Threads")
	began := time.Now()
	flood(10_000)
	took := time.Since(began)
	settled(files)
	grown := status(t, server.PID, "VmRSS") - memory
	t.Logf("10,000 connections in %v: descriptors %d before and %d after, threads %d and %d, "+
		"memory %d KB and %d KB more; the witness waited for %v at most",
		took.Round(10*time.Millisecond), files, openFiles(t, server.PID), threads, status(t, server.PID, "Threads"),
		memory, grown, stop().Round(100*time.Microsecond))
	if grown > 16<<10 {
		t.Errorf("memory grew by %d KB", grown)
	}
}

// Two hundred clients send their handshake slowly, or not at all. They are closed at its
// deadline and use little memory. New clients are served at once meanwhile.
func TestSlowHandshakes(t *testing.T) {
	bin := proctest.Build(t)
	const timeout, many = 2 * time.Second, 200
	server := proctest.Start(t, nil, bin, "echo", "--listen", "ws://127.0.0.1:0", "--handshake-timeout", timeout.String())
	addr := server.Addrs["ws"]
	newcomer := func() time.Duration {
		began := time.Now()
		conn := proctest.Dial(t, addr)
		if err := upgrade(conn); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	for range 50 {
		newcomer()
	}
	before := status(t, server.PID, "VmRSS")
	var all sync.WaitGroup
	cut := make(chan time.Duration, many)
	for i := range many {
		conn := proctest.Dial(t, addr)
		began := time.Now()
		all.Go(func() {
			request := "GET / HTTP/1.1\r\nHost: gateway.example\r\nX-Padding: " + strings.Repeat("x", 4096)
			for at := 0; i%2 == 0; at++ { // the others say nothing
				if _, err := io.WriteString(conn, request[at:at+1]); err != nil {
					break
				}
				<-time.After(20 * time.Millisecond)
			}
			_ = conn.SetReadDeadline(began.Add(20 * time.Second))
			b, err := io.ReadAll(conn)
			if len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a slow one receives %q, %v", b, err)
			}
			cut <- time.Since(began)
		})
	}
	var longest time.Duration
	for range 100 {
		longest = max(longest, newcomer())
	}
	held := status(t, server.PID, "VmRSS") - before
	all.Wait()
	close(cut)
	var last time.Duration
	for d := range cut {
		last = max(last, d)
	}
	t.Logf("%d slow handshakes with %v each: the last was cut after %v; "+
		"100 newcomers waited for %v at most; the server grew by %d KB",
		many, timeout, last.Round(10*time.Millisecond), longest.Round(100*time.Microsecond), held)
	if last > timeout+5*time.Second {
		t.Errorf("the last was cut after %v", last)
	}
	if held > many*8+100*8+1024 {
		t.Errorf("the server grew by %d KB", held)
	}
}

// Clients that use all free descriptors keep no worker out: some descriptors are reserved, and a
// lost worker reconnects.
func TestAWorkerReconnectsWithoutFreeDescriptors(t *testing.T) {
	bin := proctest.Build(t)
	script := "ulimit -n 128; exec " + bin + " gateway --listen text://127.0.0.1:0 --inner 127.0.0.1:0 --reactors 2"
	gateway := proctest.Start(t, nil, "/bin/sh", "-c", script)
	worker := func() *proctest.Process {
		return proctest.Start(t, nil, bin, "echo", "--worker", "--gateway", gateway.Addrs["inner"])
	}
	first := worker()
	conn := proctest.Dial(t, gateway.Addrs["text"])
	served := func(text string) {
		t.Helper()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, text+"\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != text+"\n" {
			t.Fatalf("it receives %q, %v", line, err)
		}
	}
	served("before")
	for range 200 {
		proctest.Dial(t, gateway.Addrs["text"]) // the kernel takes them all
	}
	for end, files := time.Now().Add(10*time.Second), 0; ; time.Sleep(20 * time.Millisecond) {
		now := openFiles(t, gateway.PID)
		if now == files && now > 100 {
			break // no more are let in
		}
		if time.Now().After(end) {
			t.Fatalf("%d descriptors are in use", now)
		}
		files = now
	}
	first.Kill()
	gateway.AwaitLog(`msg="link closed"`, 1) // what that has freed may be taken
	worker()
	served("after")
}

// The address of a client, for limits and for workers, is that of its connection. No header and
// no PROXY line changes it.
func TestNoClientChoosesItsAddress(t *testing.T) {
	t.Parallel()
	g := proctest.Start(t, nil, proctest.Build(t), "gateway", "--listen", "text://127.0.0.1:0",
		"--listen", "ws://127.0.0.1:0", "--inner", "127.0.0.1:0", "--reactors", "1")
	proctest.StartWorker(t, g.Addrs["inner"], func() {},
		func(c worker.Call, _ worker.Message) { c.Send(worker.Text(c.RemoteAddr().String())) })

	text := proctest.Dial(t, g.Addrs["text"])
	_ = text.SetDeadline(time.Now().Add(20 * time.Second))
	proctest.Say(t, text, "PROXY TCP4 203.0.113.7 203.0.113.8 4711 80")
	if got, err := bufio.NewReader(text).ReadString('\n'); got != text.LocalAddr().String()+"\n" || err != nil {
		t.Errorf("a client of %v is at %q, %v", text.LocalAddr(), got, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+g.Addrs["ws"], &websocket.DialOptions{HTTPHeader: http.Header{
		"X-Forwarded-For": {"203.0.113.7"}, "X-Real-Ip": {"203.0.113.7"}, "Forwarded": {"for=203.0.113.7"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	if err := ws.Write(ctx, websocket.MessageText, []byte("where am I?")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := ws.Read(ctx); !strings.HasPrefix(string(got), "127.0.0.1:") || err != nil {
		t.Errorf("a client of this machine is at %q, %v", got, err)
	}
}

// Decompression of a message of 1 MB that would become 1 GB stops at the size of the largest
// message. With a hundred of them the server does not grow.
func TestDecompressionBombs(t *testing.T) {
	for _, test := range []struct {
		name        string
		from, to    int // bytes, about
		most        int // kilobytes that the server may grow by
		connections int
	}{
		{"64 KB to 66 MB", 64 << 10, 66 << 20, 64 << 10, 100},
		{"1 MB to 1 GB", 1 << 20, 1 << 30, 64 << 10, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			bomb := newBomb(test.to)
			if len(bomb) < test.from*9/10 || len(bomb) > test.from*11/10 {
				t.Fatalf("the bomb has %d bytes", len(bomb))
			}
			bin := proctest.Build(t)
			server := proctest.Start(t, nil, bin, "echo", "--listen", "ws://127.0.0.1:0", "--listen", "text://127.0.0.1:0")
			stop := witness(t, server.Addrs["text"])
			conns := make([]net.Conn, test.connections)
			for i := range conns {
				conns[i] = proctest.Dial(t, server.Addrs["ws"])
				if err := upgrade(conns[i]); err != nil {
					t.Fatal(err)
				}
			}
			before := status(t, server.PID, "VmHWM")
			var all sync.WaitGroup
			for _, conn := range conns {
				all.Go(func() {
					_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
					_, err := conn.Write(bomb)
					got := make([]byte, 4)
					_, readErr := io.ReadFull(conn, got)
					if err != nil || readErr != nil || got[0] != 0x88 || binary.BigEndian.Uint16(got[2:]) != 1009 {
						t.Errorf("the bomb is answered %x, %v, %v", got, err, readErr)
					}
				})
			}
			all.Wait()
			grown := status(t, server.PID, "VmHWM") - before
			t.Logf("%d bombs of %d bytes: the server grew by %d KB at most; the witness waited for %v at most",
				len(conns), len(bomb), grown, stop().Round(100*time.Microsecond))
			if grown > test.most {
				t.Errorf("the server grew by %d KB", grown)
			}
		})
	}
}

// newBomb returns a compressed WebSocket message, in one frame with a key of zeros, that becomes
// n zeros. A megabyte of them is compressed once, and repeated: after zeros it is the same each
// time.
func newBomb(n int) []byte {
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, flate.BestCompression)
	zeros := make([]byte, 1<<20)
	end := 0
	for range 2 {
		end = b.Len()
		_, _ = z.Write(zeros)
		_ = z.Flush()
	}
	b.Write(bytes.Repeat(bytes.Clone(b.Bytes()[end:]), n/len(zeros)-2))
	payload := bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
	if len(payload) <= 0xFFFF {
		panic("the frame needs a shorter head")
	}
	head := binary.BigEndian.AppendUint64([]byte{0xC2, 0x80 | 127}, uint64(len(payload)))
	return append(append(head, 0, 0, 0, 0), payload...)
}
