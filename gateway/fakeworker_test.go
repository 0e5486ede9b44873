package gateway_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// fakeWorker is a worker controlled by the test, with one link to each of a gateway's loops.
type fakeWorker struct {
	t     testing.TB
	links []*fakeLink // by loop
}

// fakeLink is one link. Its reader collects frames and answers PINGs.
type fakeLink struct {
	conn  net.Conn
	hello link.GatewayHello

	mu      sync.Mutex
	frames  []link.Frame // guarded by mu: not taken by the test yet
	pongs   uint32       // guarded by mu: the id of the last one
	over    bool         // guarded by mu
	unacked []link.Frame // owned by the test: acknowledgements to write
	last    link.Frame   // owned by the test: the last one written
}

// dialWorker opens a worker's links to all loops.
func dialWorker(t testing.TB, addr string, key []byte, hello link.WorkerHello) *fakeWorker {
	t.Helper()
	w := &fakeWorker{t: t}
	for loops := 1; len(w.links) < loops; {
		hello.Loop = uint16(len(w.links))
		l, err := dialLink(t, addr, key, hello)
		if err != nil {
			t.Fatal(err)
		}
		w.links = append(w.links, l)
		loops = int(l.hello.Loops)
	}
	return w
}

func dialLink(t testing.TB, addr string, key []byte, hello link.WorkerHello) (*fakeLink, error) {
	l := &fakeLink{conn: dial(t, addr)}
	var err error
	if l.hello, err = link.Connect(l.conn, key, hello); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.read()
	}()
	t.Cleanup(func() {
		_ = l.conn.Close()
		<-done
	})
	return l, nil
}

func (l *fakeLink) read() {
	defer func() {
		_ = l.conn.Close() // as a peer does after a GOAWAY
		l.mu.Lock()
		l.over = true
		l.mu.Unlock()
	}()
	for r := bufio.NewReader(l.conn); ; {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		switch f.Type {
		case link.Ping:
			f.Type = link.Pong
			l.write(&f)
			continue
		case link.Pong:
			if f.ID != 0 { // else it is not an answer
				l.mu.Lock()
				l.pongs = f.ID
				l.mu.Unlock()
			}
			continue
		}
		l.mu.Lock()
		l.frames = append(l.frames, f)
		l.mu.Unlock()
	}
}

func readFrame(r io.Reader) (f link.Frame, err error) {
	head := make([]byte, link.HeaderSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return f, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head))
	copy(b, head)
	if _, err := io.ReadFull(r, b[link.HeaderSize:]); err != nil {
		return f, err
	}
	_, err = link.Next(b, link.MaxFrame, &f)
	return f, err
}

// write sends frames in one piece. Errors are ignored; the test notices the end of the link.
func (l *fakeLink) write(frames ...*link.Frame) {
	var b []byte
	for _, f := range frames {
		b = link.Append(b, f)
	}
	_, _ = l.conn.Write(b)
}

// ack acknowledges all frames that the test has taken, one by one.
func (l *fakeLink) ack() {
	for _, ack := range l.unacked {
		l.write(&ack)
		l.last = ack
	}
	l.unacked = nil
}

// letIn waits for a client and admits it. It returns the slot and token that frames name it by.
func (w *fakeWorker) letIn() link.Frame {
	w.t.Helper()
	loop, f := w.take("an attachment", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
	w.links[loop].ack()
	w.barrier(99)
	return link.Frame{Slot: f.Slot, Token: f.Token}
}

// take waits for the first matching frame and removes it. It returns the frame and its loop.
func (w *fakeWorker) take(what string, meant func(loop int, f *link.Frame) bool) (int, link.Frame) {
	w.t.Helper()
	for end := time.Now().Add(patience); ; {
		for i, l := range w.links {
			if f, ok := l.takeOne(func(f *link.Frame) bool { return meant(i, f) }); ok {
				return i, f
			}
		}
		if time.Now().After(end) {
			w.t.Fatalf("the worker does not see %s; it has %s", what, w.pending())
		}
		<-time.After(time.Millisecond)
	}
}

func (l *fakeLink) takeOne(meant func(f *link.Frame) bool) (link.Frame, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.frames {
		if f := l.frames[i]; meant(&f) {
			l.frames = append(l.frames[:i:i], l.frames[i+1:]...)
			if ack := gateway.AckOf(&f); ack != nil {
				l.unacked = append(l.unacked, *ack)
			}
			return f, true
		}
	}
	return link.Frame{}, false
}

// barrier returns when all earlier frames of the gateway have come on all links.
func (w *fakeWorker) barrier(id uint32) {
	w.t.Helper()
	for _, l := range w.links {
		l.write(&link.Frame{Type: link.Ping, ID: id})
		wait(w.t, "a PONG", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.pongs == id || l.over
		})
	}
}

// pending describes the frames that the test has not taken.
func (w *fakeWorker) pending() (names []string) {
	for _, l := range w.links {
		l.mu.Lock()
		for _, f := range l.frames {
			names = append(names, f.Type.String()+" "+string(f.Payload))
		}
		l.mu.Unlock()
	}
	return names
}

// isOver reports whether the gateway has ended the worker's first link.
func (w *fakeWorker) isOver() bool {
	l := w.links[0]
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

func (w *fakeWorker) die() {
	for _, l := range w.links {
		_ = l.conn.Close()
	}
}
