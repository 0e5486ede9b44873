package worker_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// A link ends while a call of a client runs, and the client comes again by the next link with its
// unacknowledged messages. These wait until the call has returned.
func TestNoOverlapAcrossLinks(t *testing.T) {
	t.Parallel()
	var running, overlaps, calls atomic.Int32
	begun, release := make(chan struct{}, 16), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	conns, _ := rawPeer(t, 0, onMessage(func(c worker.Call, m worker.Message) {
		if string(m.Data) == "other" {
			c.Send(m)
			return
		}
		if running.Add(1) > 1 {
			overlaps.Add(1)
		}
		if calls.Add(1) == 1 {
			begun <- struct{}{}
			<-release
		}
		running.Add(-1)
	}))
	t.Cleanup(let) // before the worker's end
	// The client, another one, and a PING whose answer shows that everything has been read.
	batch := func(messages uint32) (b []byte) {
		numbers := map[uint32]uint32{}
		add := func(f link.Frame) {
			if f.Type == link.Message {
				numbers[f.Slot]++
			}
			f.ID, f.Token = numbers[f.Slot], 7
			b = link.Append(b, &f)
		}
		attachment := link.AppendAttachment(nil, &link.Attachment{Cause: link.CauseDied, Remote: "r", Listener: "l"})
		add(link.Frame{Type: link.Attach, Slot: 1, Payload: attachment})
		for range messages {
			add(link.Frame{Type: link.Message, Slot: 1, Payload: []byte("x")})
		}
		add(link.Frame{Type: link.Attach, Slot: 2, Payload: attachment})
		add(link.Frame{Type: link.Message, Slot: 2, Payload: []byte("other")})
		return link.Append(b, &link.Frame{Type: link.Ping, ID: 9})
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	write := func(conn net.Conn, messages uint32) { writing.Go(func() { _, _ = conn.Write(batch(messages)) }) }

	conn := <-conns
	write(conn, 3)
	<-begun
	awaitPong(t, conn)
	_ = conn.Close() // one call runs, two messages wait
	for _, dies := range []bool{true, false} {
		conn = <-conns
		write(conn, 3)
		awaitPong(t, conn) // the other client is not held up
		if calls.Load() != 1 {
			t.Errorf("%d calls while the first runs", calls.Load())
		}
		if dies {
			_ = conn.Close()
		}
	}
	let()
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	await(t, func() bool { return calls.Load() == 4 }) // the one that ran, and the last link's three
	if n := overlaps.Load(); n > 0 {
		t.Errorf("%d calls for one client overlapped", n)
	}
}
