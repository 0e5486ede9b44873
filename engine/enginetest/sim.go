// Package enginetest runs an engine on a network in memory, for deterministic tests of what stands on
// one: nothing happens but when the test says so, and all of it on the test's goroutine.
package enginetest

import (
	"net"
	"net/netip"

	"github.com/seed-7410fe32/sluice/engine"
)

// readBuffer is the most that a loop reads at once, in bytes, as an engine of sockets does.
const readBuffer = 128 << 10

// Sim is an engine and the network that its connections come from. It has no listeners, and its
// Engine must not be stopped.
type Sim struct {
	m     *engine.Manual
	peers [][]*Peer // by loop, in the order in which they came; bound: none, a test's
}

// New makes an engine.
func New(cfg engine.Config) (*Sim, error) {
	m, err := engine.NewManual(cfg)
	if err != nil {
		return nil, err
	}
	return &Sim{m, make([][]*Peer, len(m.Engine().Loops()))}, nil
}

// Engine is the engine.
func (s *Sim) Engine() *engine.Engine { return s.m.Engine() }

// Open makes a connection of the loop with the index given, and returns its other end. OnOpen has run.
func (s *Sim) Open(loop int, remote netip.AddrPort, h engine.Handler, o engine.ConnOptions) *Peer {
	p := &Peer{room: 1 << 20}
	c, err := s.m.Open(loop, pipe{p}, remote, h, o)
	if err != nil {
		panic(err)
	}
	p.conn = c
	s.peers[loop] = append(s.peers[loop], p)
	return p
}

// Turn lets one loop do what is due, as at the end of a turn: posted functions, timers, and all that
// was written leaves.
func (s *Sim) Turn(loop int) { s.m.Turn(loop) }

// Settle lets all loops do what is due and read what was sent, until nothing is left.
func (s *Sim) Settle() {
	for idle := 0; idle < 2; idle++ { // timers need a turn although nothing else asks for one
		for i, peers := range s.peers {
			for _, p := range peers {
				if p.Read(readBuffer) {
					idle = 0
				}
			}
			s.peers[i] = living(s.peers[i]) // others may have come meanwhile
			if s.m.Due(i) {
				idle = 0
			}
			s.Turn(i)
		}
	}
}

func living(peers []*Peer) []*Peer {
	kept := peers[:0]
	for _, p := range peers {
		if !p.conn.Ended() {
			kept = append(kept, p)
		}
	}
	clear(peers[len(kept):])
	return kept
}

// Peer is the far end of a connection.
type Peer struct {
	conn   *engine.ManualConn
	sent   []byte // and not read by the loop; bound: none, a test's
	hungUp bool
	held   []byte // written by the loop, and not taken by the kernel; bound: none, a test's
	out    []byte // in the kernel, towards here; bound: none, a test's
	taken  []byte // what Take has returned
	took   uint64 // bytes that Take has returned so far
	room   int    // bytes of the kernel's buffer
}

// Send puts bytes on their way; the loop has them when it reads.
func (p *Peer) Send(b []byte) { p.sent = append(p.sent, b...) }

// Unread is how many bytes the loop has not read.
func (p *Peer) Unread() int { return len(p.sent) }

// HangUp closes this end: the loop sees that once it has read what was sent.
func (p *Peer) HangUp() { p.hungUp = true }

// Reset breaks the connection: what was sent and not read is lost. The loop sees it at once.
func (p *Peer) Reset() {
	p.sent = nil
	p.Break()
}

// Break ends the connection as a write that finds it broken does, before the loop has read what was sent.
func (p *Peer) Break() { p.conn.Break(net.ErrClosed) }

// Read has the loop read once, at most n bytes, or see the end. It reports whether there was anything: a connection that is paused reads nothing.
func (p *Peer) Read(n int) bool {
	if !p.conn.Reads() {
		return false
	}
	if len(p.sent) == 0 {
		if p.hungUp {
			p.conn.HangUp()
		}
		return p.hungUp
	}
	in := p.sent[:min(n, len(p.sent), readBuffer)]
	p.sent = p.sent[len(in):]
	p.conn.Read(in)
	if len(p.sent) == 0 {
		p.sent = in[:0]
	}
	return true
}

// Limit sets how many bytes the kernel takes before this end has taken any of them.
func (p *Peer) Limit(n int) {
	p.room = n
	p.fill()
}

// Take is what has come here since the last call, a view that is valid until the next one.
func (p *Peer) Take() []byte {
	p.out, p.taken = p.taken[:0], p.out
	p.fill()
	p.took += uint64(len(p.taken))
	return p.taken
}

// Closed reports whether nothing more can come.
func (p *Peer) Closed() bool { return p.conn.Ended() && len(p.out) == 0 }

// fill moves on what the kernel has room for.
func (p *Peer) fill() {
	n := min(len(p.held), max(p.room-len(p.out), 0))
	p.out = append(p.out, p.held[:n]...)
	p.held = p.held[n:]
}

// pipe is a Peer as the engine sees it.
type pipe struct{ *Peer }

func (p pipe) Write(b []byte) {
	if len(p.held) == 0 && len(p.out)+len(b) <= p.room {
		p.out = append(p.out, b...)
		return
	}
	p.held = append(p.held, b...)
	p.fill()
}

func (p pipe) Waiting() int                      { return len(p.held) }
func (p pipe) Arrived() bool                     { return len(p.sent) > 0 || p.hungUp }
func (p pipe) Taken() (acked uint64, unread int) { return p.took, len(p.out) }
func (p pipe) Closed()                           { p.fill() }

func (p pipe) TakeBack() (held []byte) {
	held, p.held = p.held, nil
	return held
}

func (p pipe) Unread() []byte {
	b := p.sent
	p.sent = nil
	if len(b) == 0 {
		return nil
	}
	return b
}
