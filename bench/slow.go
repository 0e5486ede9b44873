package bench

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/engine"
)

// SlowReaderResult says what became of the slow readers.
type SlowReaderResult struct {
	Readers int     `json:"readers"`
	Cut     int     `json:"cut"`                   // closed by the server, including readers that replaced others
	First   float64 `json:"first_cut_s,omitempty"` // seconds from the start of the load
	Last    float64 `json:"last_cut_s,omitempty"`
}

// slowReader is a client that receives messages to a room or to all, and stops reading. It is not
// part of the audit. The loop of its shard owns all of it.
type slowReader struct {
	*client
	trickle bool         // it reads a little
	look    engine.Timer // checks whether the server still has the connection
	cuts    []int64      // when it was closed, in microseconds since the start of the run
}

// slowReaders are those of a run, in a generator of their own.
type slowReaders struct{ *generator }

const (
	slowBuffer = 4 << 10                // receive buffer of a slow reader, in bytes
	lookEvery  = 100 * time.Millisecond // how exactly the time of a close is known
)

// openSlow connects the slow readers; nil if there are none. The caller
// stops them, also after an error.
func openSlow(ctx context.Context, o Options, began time.Time) (*slowReaders, error) {
	if o.SlowReaders == 0 {
		return nil, nil
	}
	first, rooms, room := uint32(o.Conns), uint32(o.Conns+o.RoomSize-1)/uint32(o.RoomSize), uint32(o.RoomSize)
	if o.Mode == Chat {
		o.Mode = Rooms // they do nothing but join
	}
	o.Rate, o.Loops, o.Size = 0, 1, layoutOf(o.Mode, o.inner(), 0).least()
	g, err := newGenerator(o, first, first+uint32(o.SlowReaders), began)
	if err != nil {
		return nil, err
	}
	g.control = func(network, address string, c syscall.RawConn) error {
		return errors.Join(latePort(network, address, c), setOption(c, unix.SOL_SOCKET, unix.SO_RCVBUF, slowBuffer))
	}
	g.shards[0].layout.size = -1 // no message is looked at
	for i := range uint32(o.SlowReaders) {
		c := g.newClient(first + i)
		c.name = nameOf(i % rooms * room)
		c.slow = &slowReader{client: c, trickle: o.SlowMixed && i%2 > 0}
		c.slow.look.Target = c.slow
		g.clients = append(g.clients, c)
	}
	s := &slowReaders{g}
	if err := g.open(ctx); err != nil {
		return s, fmt.Errorf("%w (a slow reader)", err)
	}
	return s, nil
}

// start tells that the load begins. From then on readers that were closed can be replaced.
func (s *slowReaders) start() {
	if s == nil {
		return
	}
	s.loaded = time.Since(s.began).Microseconds()
	s.dialling.Go(s.dialOn)
}

// OnData implements engine.Handler. The last data it reads is the answer to
// the command after the handshake.
func (r *slowReader) OnData(conn *engine.Conn, in []byte) int {
	n := len(in)
	if !r.ready {
		n = r.client.OnData(conn, in)
	}
	if r.ready {
		conn.Pause()
		r.shard.loop.Schedule(&r.look, lookEvery)
	}
	return n
}

// OnTimer implements engine.TimerHandler. It writes now and then: a server that has closed the
// connection answers with a reset, which arrives although nothing is read.
func (r *slowReader) OnTimer(*engine.Timer) {
	switch {
	case r.conn.Closed():
		if r.shard.opts.SlowMixed {
			r.shard.run.redial(r.client)
		}
		return
	case r.ready && r.conn.Buffered() == 0:
		r.command(verbNothing, r.name)
	}
	if r.trickle {
		r.conn.Resume()
	}
	r.shard.loop.Schedule(&r.look, lookEvery)
}

// OnClose implements engine.Handler. With Options.SlowMixed the reader
// connects again with another format.
func (r *slowReader) OnClose(conn *engine.Conn, reason error) {
	cut := r.ready && !errors.Is(reason, engine.ErrStopped)
	r.client.OnClose(conn, reason)
	r.ready, r.wire = false, nil
	if cut {
		r.shard.tick()
		r.cuts = append(r.cuts, r.shard.now)
		r.id += 2
	}
	if r.shard.opts.SlowMixed {
		r.shard.loop.Schedule(&r.look, lookEvery)
	}
}

// stop ends the readers and returns their result; nil if there are none.
func (s *slowReaders) stop() *SlowReaderResult {
	if s == nil {
		return nil
	}
	sum := &SlowReaderResult{Readers: len(s.clients)}
	s.each(func(*shard) {
		for _, c := range s.clients {
			for _, cut := range c.slow.cuts {
				at := max(float64(cut-s.loaded), 0) / 1e6
				if sum.Cut == 0 || at < sum.First {
					sum.First = at
				}
				sum.Cut++
				sum.Last = max(sum.Last, at)
			}
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	_ = s.close(ctx) // what they have sent is not awaited
	return sum
}
