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

// SlowReaderResult are the readers that read nothing, and what became of them.
type SlowReaderResult struct {
	Readers int     `json:"readers"`
	Cut     int     `json:"cut"`                   // by the server, those that replaced others among them
	First   float64 `json:"first_cut_s,omitempty"` // seconds from the load's start
	Last    float64 `json:"last_cut_s,omitempty"`
}

// slowReader is a client in a room, or of a broadcast, that reads nothing once it is there. It is no part of the audit. All of it belongs to its loop.
type slowReader struct {
	*client
	taste bool         // it reads a little
	look  engine.Timer // whether the server still has the connection
	cuts  []int64      // when it was cut: microseconds since the run began
}

// slowReaders are those of a run, a generator of their own beside the load.
type slowReaders struct{ *generator }

// openSlow connects them and has them join their rooms. What it returns is to be stopped, also after an error; nil if there are none.
func openSlow(ctx context.Context, o Options, began time.Time) (*slowReaders, error) {
	if o.SlowReaders == 0 {
		return nil, nil
	}
	first, rooms, room := uint32(o.Conns), uint32(o.Conns+o.RoomSize-1)/uint32(o.RoomSize), uint32(o.RoomSize)
	if o.Mode == Chat {
		o.Mode = Rooms // they are there, and are nobody
	}
	o.Rate, o.Loops, o.Size = 0, 1, layoutOf(o.Mode, o.inner(), 0).least()
	g, err := newGenerator(o, first, first+uint32(o.SlowReaders), began)
	if err != nil {
		return nil, err
	}
	s := &slowReaders{g}
	g.control = littleBuffer
	g.shards[0].layout.size = -1 // of what arrives nothing is looked at
	for i := range uint32(o.SlowReaders) {
		c := g.newClient(first + i)
		c.name = nameOf(i % rooms * room)
		c.slow = &slowReader{client: c, taste: o.SlowMixed && i%2 > 0}
		c.slow.look.Target = c.slow
		g.clients = append(g.clients, c)
	}
	if err := g.open(ctx); err != nil {
		return s, fmt.Errorf("%w (a slow reader)", err)
	}
	return s, nil
}

// slowBuffer is the receive buffer of a slow reader, in bytes: what the kernel takes without it.
const slowBuffer = 4 << 10

func littleBuffer(network, address string, c syscall.RawConn) error {
	return errors.Join(latePort(network, address, c), setOption(c, unix.SOL_SOCKET, unix.SO_RCVBUF, slowBuffer))
}

// start tells when the load begins. From then on those that were cut can be replaced.
func (s *slowReaders) start() {
	if s == nil {
		return
	}
	s.loaded = time.Since(s.began).Microseconds()
	s.dialling.Go(s.dialOn)
}

// OnData implements engine.Handler. What comes first after the handshake is taken for the answer to the command; it is the last thing that is read.
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

// lookEvery is how exactly the time of a cut is known.
const lookEvery = 100 * time.Millisecond

// OnTimer implements engine.Expirer. It writes something now and then: a server that has closed the connection answers that with a reset, which comes although nothing is
// read. A reader without a connection gets a new one.
func (r *slowReader) OnTimer(*engine.Timer) {
	switch {
	case r.conn.Closed():
		r.shard.run.redial(r.client)
		return
	case r.ready && r.conn.Buffered() == 0:
		r.command(verbNothing, r.name)
	}
	if r.taste {
		r.conn.Resume()
	}
	r.shard.loop.Schedule(&r.look, lookEvery)
}

// OnClose implements engine.Handler. With Options.SlowMixed another takes the reader's place, in the format that comes next to it, of its own kind.
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

// stop ends them and tells what became of them; nil if there were none.
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
	_ = s.close(ctx) // what they have sent nobody waits for
	return sum
}
