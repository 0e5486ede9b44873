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
	Cut     int     `json:"cut"`                   // by the server
	First   float64 `json:"first_cut_s,omitempty"` // seconds from the load's start
	Last    float64 `json:"last_cut_s,omitempty"`
}

// slowReader is a client in a room, or of a broadcast, that never reads once the load runs. It is no part of the audit.
type slowReader struct {
	nc    net.Conn
	probe []byte // shows whether the server still has the connection; its answer is not read either
	cut   time.Duration
}

// slowReaders are those of a run, each with a goroutine until stop.
type slowReaders struct {
	all    []*slowReader
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// openSlow connects them and has them join their rooms. What it returns is to be stopped, also after an error.
func openSlow(ctx context.Context, o *Options) (*slowReaders, error) {
	s := &slowReaders{cancel: func() {}}
	for i := range o.SlowReaders {
		r, err := newSlowReader(ctx, o, i)
		if err != nil {
			return s, fmt.Errorf("bench: slow reader %d: %w", i, err)
		}
		s.all = append(s.all, r)
	}
	return s, nil
}

// slowBuffer is the receive buffer of a slow reader, in bytes: what the kernel takes without it.
const slowBuffer = 4 << 10

func newSlowReader(ctx context.Context, o *Options, i int) (*slowReader, error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, slowBuffer) }); e != nil {
			return e
		}
		return err
	}}
	nc, err := d.DialContext(ctx, "tcp", o.Targets[i%len(o.Targets)])
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	r := &slowReader{nc: nc}
	if err := r.enter(o, i); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return r, nil
}

// enter makes the handshake and joins a room, both with their answers: the last thing it reads.
func (r *slowReader) enter(o *Options, i int) error {
	w, in := newWire(o.Codec), make([]byte, 0, slowBuffer)
	key := ""
	if o.Codec == WebSocket {
		key = codec.NewKey()
		if _, err := r.nc.Write(codec.AppendUpgrade(nil, r.nc.RemoteAddr().String(), o.Path, key, &codec.DialOptions{})); err != nil {
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
			ws, n, err := codec.ReadResponse(in, key, &codec.DialOptions{MaxMessage: maxMessage})
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
func (s *slowReaders) start() {
	began := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for _, r := range s.all {
		s.done.Go(func() { r.watch(ctx, began) })
	}
}

// probeEvery is how exactly the time of a cut is known.
const probeEvery = 100 * time.Millisecond

// watch writes a probe now and then: a server that has closed the connection answers it with a reset, which comes although nothing is read.
func (r *slowReader) watch(ctx context.Context, began time.Time) {
	rest := r.probe
	for ctx.Err() == nil {
		_ = r.nc.SetWriteDeadline(time.Now().Add(probeEvery)) // only a closed connection refuses
		n, err := r.nc.Write(rest)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			r.cut = time.Since(began)
			return
		}
		if rest = rest[n:]; len(rest) == 0 {
			rest = r.probe
		}
		pause(ctx, probeEvery)
	}
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
		if r.cut == 0 {
			continue
		}
		at := r.cut.Seconds()
		if sum.Cut == 0 || at < sum.First {
			sum.First = at
		}
		sum.Cut++
		sum.Last = max(sum.Last, at)
	}
	return sum
}
