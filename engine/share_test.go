package engine

import (
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// A shared message reaches each conn whole, unchanged and in order, also a slow reader, and
// whatever else is written in between.
func TestSharedMessages(t *testing.T) {
	t.Parallel()
	const conns, turns = 5, 80
	e := start(t, Config{Loops: 1})
	var all [conns]*Conn
	var peers [conns]net.Conn
	for i := range all {
		all[i], peers[i] = opened(t, e, funcs{}, ConnOptions{MaxOutput: 64 << 20})
		_ = peers[i].(*net.TCPConn).SetReadBuffer(64 << 10) // so that the kernel does not take it all
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var want [conns][]int
	next := 0
	var memory *Shared
	for range turns {
		on(t, all[0].Loop(), func() {
			if memory == nil {
				memory = all[0].Loop().NewShared()
			}
			if memory.views != 0 {
				t.Errorf("%d views are left after a turn", memory.views)
			}
			for range rng.IntN(20) {
				next++
				message := numbered(next, 8+rng.IntN(20_000))
				one := rng.IntN(conns)
				switch rng.IntN(6) {
				case 0:
					_ = all[one].Write(message)
					want[one] = append(want[one], next)
					continue
				case 1:
					all[one].flush()
				}
				shared := memory.Commit(append(memory.Begin(), message...))
				for i, c := range all {
					if i != one || rng.IntN(2) == 0 { // some conns do not get some messages
						_ = c.WriteShared(memory, shared, SendOptions{})
						want[i] = append(want[i], next)
					}
				}
			}
		})
	}
	if s := figures(e)[0]; s.SlowConns == 0 {
		t.Error("nobody was slow")
	}
	on(t, all[0].Loop(), func() {
		for _, c := range all {
			c.CloseAfterFlush(nil, patience)
		}
	})
	for i := conns - 1; i >= 0; i-- { // the last one to be read is slow
		got := numbers(t, peers[i])
		if len(got) != len(want[i]) {
			t.Errorf("conn %d: %d messages came, and %d were written", i, len(got), len(want[i]))
			continue
		}
		for j := range got {
			if got[j] != want[i][j] {
				t.Fatalf("conn %d: message %d came in place of %d", i, got[j], want[i][j])
			}
		}
	}
}

// A conn that ends with an unsent message has no view any more.
func TestSharedMessageOfAConnThatEnds(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	c, _ := opened(t, e, funcs{}, ConnOptions{})
	var memory *Shared
	on(t, c.Loop(), func() {
		memory = c.Loop().NewShared()
		_ = c.WriteShared(memory, memory.Commit(append(memory.Begin(), "message"...)), SendOptions{})
		c.Close(nil)
	})
	on(t, c.Loop(), func() {
		if memory.views != 0 {
			t.Errorf("%d views are left", memory.views)
		}
	})
}

// The memory of a loop's Shareds does not grow with the number of messages, however many encodings
// are used at once, and with slow readers and closed conns: the messages of one encoding are
// released while views of another are in use.
func TestSharedMemoryOfSeveralEncodings(t *testing.T) {
	t.Parallel()
	const encodings, turns, size = 4, 300, 8 << 10
	e := start(t, Config{Loops: 1})
	loop := e.Loops()[0]
	var memories [encodings]*Shared
	on(t, loop, func() {
		for i := range memories {
			memories[i] = loop.NewShared()
		}
	})
	conns := make([]*Conn, 2*encodings) // for each encoding one conn that reads everything and one that reads nothing
	for i := range conns {
		var peer net.Conn
		conns[i], peer = opened(t, e, funcs{}, ConnOptions{MaxOutput: 256 << 10, Overflow: DropOldest})
		if i < encodings {
			go func() { _, _ = io.Copy(io.Discard, peer) }()
		}
	}
	held := func() (n int) {
		for _, m := range memories {
			n += cap(m.buf)
		}
		return n
	}
	for turn := range turns {
		on(t, loop, func() {
			for range 3 {
				for i, m := range memories {
					message := m.Commit(append(m.Begin(), make([]byte, size)...))
					_ = conns[i].WriteShared(m, message, SendOptions{})
					_ = conns[encodings+i].WriteShared(m, message, SendOptions{})
				}
			}
			if n := held(); n > encodings*maxKeptShared {
				t.Errorf("turn %d: %d bytes are held for messages of %d in %d encodings", turn, n, size, encodings)
			}
		})
	}
	on(t, loop, func() {
		for i, m := range memories { // more than is kept
			_ = conns[i].WriteShared(m, m.Commit(append(m.Begin(), make([]byte, 2*maxKeptShared)...)), SendOptions{})
		}
		for _, c := range conns {
			c.Close(nil)
		}
	})
	on(t, loop, func() {
		if n := held(); n != 0 {
			t.Errorf("%d bytes are held when all have left", n)
		}
	})
}
