// Package enginetest runs an engine on a network in memory, for deterministic tests of programs
// that use an engine. All work runs on the goroutine of the test, and only when the test calls a
// method.
package enginetest

import (
	"net"
	"net/netip"

	"github.com/seed-7410fe32/sluice/engine"
)

// readBuffer is the most bytes that a loop reads at once, as with an engine on sockets.
const readBuffer = 128 << 10

// Sim is an engine and the network of its connections. It has no listeners, and its Engine must not
// be stopped.
type Sim struct {
	m     *engine.Manual
	peers [][]*Peer // by loop, in the order of Open; bound: none, a test's
}

// New creates an engine.
func New(cfg engine.Config) (*Sim, error) {
	m, err := engine.NewManual(cfg)
	if err != nil {
		return nil, err
	}
	return &Sim{m, make([][]*Peer, len(m.Engine().Loops()))}, nil
}

// Engine returns the engine.
func (s *Sim) Engine() *engine.Engine { return s.m.Engine() }

// Open creates a connection on the loop with the given index and returns its other end. OnOpen has
// run.
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

// Turn makes one loop do the work of the end of a turn: it runs posted functions and timers, and
// sends all output.
func (s *Sim) Turn(loop int) { s.m.Turn(loop) }

// Settle makes all loops do their work and read the sent bytes, until nothing is left to do.
func (s *Sim) Settle() {
	for idle := 0; idle < 2; idle++ { // timers need a turn even if nothing else asks for one
		for i, peers := range s.peers {
			for _, p := range peers {
				if p.Read(readBuffer) {
					idle = 0
				}
			}
			s.peers[i] = openPeers(s.peers[i]) // others may have been opened meanwhile
			if s.m.Due(i) {
				idle = 0
			}
			s.Turn(i)
		}
	}
}

func openPeers(peers []*Peer) []*Peer {
	kept := peers[:0]
	for _, p := range peers {
		if !p.conn.Ended() {
			kept = append(kept, p)
		}
	}
	clear(peers[len(kept):])
	return kept
}

// Peer is the other end of a connection.
type Peer struct {
	conn   *engine.ManualConn
	sent   []byte // not read by the loop yet; bound: none, a test's
	hungUp bool
	held   []byte // written by the loop and not accepted by the kernel; bound: none, a test's
	out    []byte // in the kernel, on the way to this end; bound: none, a test's
	taken  []byte // the slice that Take has returned
	took   uint64 // bytes that Take has returned so far
	room   int    // size of the kernel's buffer in bytes
}

// Send sends bytes to the loop. The loop receives them when it reads.
func (p *Peer) Send(b []byte) { p.sent = append(p.sent, b...) }

// Unread returns how many bytes the loop has not read.
func (p *Peer) Unread() int { return len(p.sent) }

// HangUp closes this end. The loop sees it after it has read all sent bytes.
func (p *Peer) HangUp() { p.hungUp = true }

// Reset breaks the connection. Sent bytes that were not read are lost. The loop sees it at once.
func (p *Peer) Reset() {
	p.sent = nil
	p.Break()
}

// Break ends the connection as a write to a broken connection does, before the loop has read the
// sent bytes.
func (p *Peer) Break() { p.conn.Break(net.ErrClosed) }

// Read makes the loop read once, at most n bytes, or see the end. It reports whether there was
// anything to read. A paused connection reads nothing.
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

// Limit sets how many bytes the kernel accepts before this end has taken any.
func (p *Peer) Limit(n int) {
	p.room = n
	p.fill()
}

// Take returns the bytes that have arrived since the last call. The slice is a view that is valid
// until the next call.
func (p *Peer) Take() []byte {
	p.out, p.taken = p.taken[:0], p.out
	p.fill()
	p.took += uint64(len(p.taken))
	return p.taken
}

// Closed reports whether no more bytes can arrive.
func (p *Peer) Closed() bool { return p.conn.Ended() && len(p.out) == 0 }

// fill moves held output to the kernel's buffer as far as it fits.
func (p *Peer) fill() {
	n := min(len(p.held), max(p.room-len(p.out), 0))
	p.out = append(p.out, p.held[:n]...)
	p.held = p.held[n:]
}

// pipe is a Peer from the side of the engine.
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
