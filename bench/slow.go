package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sluice/codec"
)

// Slow are the readers that read nothing, and what became of them.
type Slow struct {
	Readers int     `json:"readers"`
	Cut     int     `json:"cut"`                   // by the server, those that replaced others among them
	First   float64 `json:"first_cut_s,omitempty"` // seconds from the load's start
	Last    float64 `json:"last_cut_s,omitempty"`
}

// slowReader is a client in a room, or of a broadcast, that never reads once the load runs. It is no part of the audit.
type slowReader struct {
	nc    net.Conn
	probe []byte          // shows whether the server still has the connection; its answer is not read either
	cuts  []time.Duration // since the load's start
	taste []byte          // where it reads a little; empty: it reads nothing
}

// slowReaders are those of a run, each with a goroutine until stop.
type slowReaders struct {
	all    []*slowReader
	plan   *plan
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// openSlow connects them and has them join their rooms. What it returns is to be stopped, also after an error.
func openSlow(ctx context.Context, o *Options) (*slowReaders, error) {
	s := &slowReaders{cancel: func() {}}
	var err error
	if s.plan, err = o.plan(); err != nil {
		return s, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	for i := range o.SlowReaders {
		r, err := newSlowReader(ctx, s.plan, o, i)
		if err != nil {
			return s, fmt.Errorf("bench: slow reader %d: %w", i, err)
		}
		s.all = append(s.all, r)
	}
	return s, nil
}

// slowBuffer is the receive buffer of a slow reader, in bytes: what the kernel takes without it.
const slowBuffer = 4 << 10

func newSlowReader(ctx context.Context, p *plan, o *Options, i int) (*slowReader, error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, slowBuffer) }); e != nil {
			return e
		}
		return err
	}}
	t, addr := p.target(o, i)
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	r := &slowReader{nc: nc}
	if o.SlowMixed && i%2 > 0 {
		r.taste = make([]byte, slowBuffer)
	}
	if err := r.enter(p, t, o, i); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return r, nil
}

// enter makes the handshake and joins a room, both with their answers: the last thing it reads.
func (r *slowReader) enter(p *plan, t *target, o *Options, i int) error {
	f, in := o.format(uint32(i)), make([]byte, 0, slowBuffer+max(o.Size, o.Overheard)) // what goes to all may come before the answer
	w, key, dial := newWire(f.Codec), "", p.dialOptions(f, codec.NewDeflate())
	if f.Codec == WebSocket {
		key = codec.NewKey()
		who := p.who(uint32(o.Conns + i))
		if _, err := r.nc.Write(p.upgrade(t, &who, key, dial, time.Now().UnixMilli())); err != nil {
			return err
		}
	} else if err := r.join(o, i, w); err != nil {
		return err
	}
	for {
		n, err := r.nc.Read(in[len(in):cap(in)])
		if err != nil {
			return err
		}
		in = in[:len(in)+n]
		if w == nil {
			ws, n, err := codec.ReadResponse(in, key, dial)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			defer ws.Release()
			w, in = ws, in[:copy(in, in[n:])]
			if err := r.join(o, i, w); err != nil {
				return err
			}
		}
		switch _, _, n, _, err := w.Decode(in, nil); {
		case err != nil:
			return err
		case n > 0:
			return nil
		case len(in) == cap(in):
			return errors.New("the answer is too long")
		}
	}
}

// join asks to come into the room that has number i of the slow readers, and makes the probe.
func (r *slowReader) join(o *Options, i int, w wire) error {
	l := layoutOf(o.Mode, o.Codec, o.Size)
	l.size = l.least()
	p := l.template()
	p[l.quote] = verbNothing
	r.probe = w.Append(nil, p, o.Codec.isText())
	if l.target > 0 {
		rooms := (o.Conns + o.RoomSize - 1) / o.RoomSize
		name := nameOf(uint32(i % rooms * o.RoomSize))
		copy(p[l.target:], name[:])
		p[l.quote] = verbJoin
	}
	_, err := r.nc.Write(w.Append(nil, p, o.Codec.isText()))
	return err
}

// start has the slow readers look, until stop, whether they still have their connection.
func (s *slowReaders) start(o *Options) {
	began := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for i, r := range s.all {
		s.done.Go(func() { r.run(ctx, s.plan, o, i, began) })
	}
}

// run notes when the reader is cut; with Options.SlowMixed another takes its place then.
func (r *slowReader) run(ctx context.Context, p *plan, o *Options, i int, began time.Time) {
	for r.watch(ctx) {
		r.cuts = append(r.cuts, time.Since(began))
		if !o.SlowMixed {
			return
		}
		for i += 2; ctx.Err() == nil; pause(ctx, redialAfter) { // the format that comes next to it, of its own kind
			next, err := newSlowReader(ctx, p, o, i)
			if err != nil {
				continue // the server has no room, or no worker
			}
			_ = r.nc.Close()
			r.nc, r.probe = next.nc, next.probe
			break
		}
	}
}

// probeEvery is how exactly the time of a cut is known.
const probeEvery = 100 * time.Millisecond

// watch writes a probe now and then: a server that has closed the connection answers it with a reset, which comes although nothing is read. It reports true when the reader
// was cut, and false when ctx has ended.
func (r *slowReader) watch(ctx context.Context) bool {
	rest := r.probe
	for ctx.Err() == nil {
		_ = r.nc.SetDeadline(time.Now().Add(probeEvery)) // only a closed connection refuses
		n, err := r.nc.Write(rest)
		if err == nil && len(r.taste) > 0 {
			_, err = r.nc.Read(r.taste)
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return true
		}
		if rest = rest[n:]; len(rest) == 0 {
			rest = r.probe
		}
		pause(ctx, probeEvery)
	}
	return false
}

// stop ends them and tells what became of them; nil if there were none.
func (s *slowReaders) stop() *Slow {
	s.cancel()
	s.done.Wait()
	if len(s.all) == 0 {
		return nil
	}
	sum := &Slow{Readers: len(s.all)}
	for _, r := range s.all {
		_ = r.nc.Close()
		for _, cut := range r.cuts {
			at := cut.Seconds()
			if sum.Cut == 0 || at < sum.First {
				sum.First = at
			}
			sum.Cut++
			sum.Last = max(sum.Last, at)
		}
	}
	return sum
}
