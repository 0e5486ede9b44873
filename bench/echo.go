package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"sluice/engine"
)

// ClosedLoop is a closed-loop load of text lines on an echo server.
type ClosedLoop struct {
	Addr     string // host:port
	Conns    int    // connections
	InFlight int    // messages on their way per connection
	Size     int    // payload bytes, at least 16
	Loops    int    // of the generator. Defaults to 1.
	Procs    []int  // processes whose CPU time is counted
}

// Result is what one run measured, its warm-up left out.
type Result struct {
	Messages uint64          // echoed and checked
	Elapsed  time.Duration   // of the measured window
	CPU      []time.Duration // user + system, of each of ClosedLoop.Procs
	Own      time.Duration   // CPU time of the generator's process
}

// PerMessage is the CPU time of all processes for one message.
func (r Result) PerMessage() time.Duration {
	var sum time.Duration
	for _, d := range r.CPU {
		sum += d
	}
	return sum / time.Duration(max(r.Messages, 1))
}

// ErrAudit is returned when an echo was lost, duplicated, reordered or changed.
var ErrAudit = errors.New("bench: audit failed")

// Run opens the connections, lets the load settle for warm, measures for the window given, and closes all.
func (e ClosedLoop) Run(ctx context.Context, warm, window time.Duration) (r Result, err error) {
	g, err := engine.New(engine.Config{Loops: max(e.Loops, 1)})
	if err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, g.Stop(context.WithoutCancel(ctx))) }()

	run := &echoRun{ClosedLoop: e, failed: make(chan error, 1)}
	if err := run.dial(ctx, g); err != nil {
		return r, err
	}
	for _, c := range run.conns {
		if err := c.conn.Loop().Post(c.start); err != nil {
			return r, fmt.Errorf("bench: start: %w", err)
		}
	}
	if err := run.wait(ctx, warm); err != nil {
		return r, err
	}
	from := run.sample()
	if err := run.wait(ctx, window); err != nil {
		return r, err
	}
	return run.sample().since(from), nil
}

// echoRun is one run of a ClosedLoop.
type echoRun struct {
	ClosedLoop
	conns  []*echoConn
	failed chan error // the first failure
}

func (e *echoRun) dial(ctx context.Context, g *engine.Engine) error {
	var d net.Dialer
	for i := range e.Conns {
		nc, err := d.DialContext(ctx, "tcp", e.Addr)
		if err != nil {
			return fmt.Errorf("bench: connection %d: %w", i, err)
		}
		c := &echoConn{run: e, id: uint32(i)}
		c.line = append(make([]byte, max(e.Size, 16)), '\n')
		for j := range c.line[:len(c.line)-1] {
			c.line[j] = 'x'
		}
		if err := g.Enroll(g.Loops()[i%len(g.Loops())], nc, c, engine.ConnOptions{}); err != nil {
			return fmt.Errorf("bench: connection %d: %w", i, err)
		}
		e.conns = append(e.conns, c)
	}
	return nil
}

func (e *echoRun) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case err := <-e.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *echoRun) fail(err error) {
	select {
	case e.failed <- err:
	default:
	}
}

// sample is all counters at one moment.
type sample struct {
	at       time.Time
	messages uint64
	cpu      []time.Duration
	own      time.Duration
}

func (e *echoRun) sample() sample {
	s := sample{at: time.Now(), own: ownCPU()}
	for _, c := range e.conns {
		s.messages += c.echoed.Load()
	}
	for _, pid := range e.Procs {
		s.cpu = append(s.cpu, cpuTime(pid))
	}
	return s
}

func (s sample) since(from sample) Result {
	r := Result{Messages: s.messages - from.messages, Elapsed: s.at.Sub(from.at), Own: s.own - from.own}
	for i := range s.cpu {
		r.CPU = append(r.CPU, s.cpu[i]-from.cpu[i])
	}
	return r
}

// echoConn is one connection of the load. It is the handler of its connection.
type echoConn struct {
	// Static after dial.
	run *echoRun
	id  uint32

	// Owned by the loop.
	conn     *engine.Conn
	line     []byte // the message, its first 16 bytes the connection and sequence in hex
	sent     uint32
	received uint32

	echoed atomic.Uint64
}

// OnOpen implements engine.Handler.
func (c *echoConn) OnOpen(conn *engine.Conn) { c.conn = conn }

// OnData implements engine.Handler.
func (c *echoConn) OnData(conn *engine.Conn, in []byte) int {
	taken := 0
	for len(in)-taken >= len(c.line) {
		if err := c.check(in[taken : taken+len(c.line)]); err != nil {
			c.run.fail(err)
			conn.Close(err)
			return len(in)
		}
		taken += len(c.line)
		c.received++
		c.send()
	}
	c.echoed.Store(uint64(c.received))
	return taken
}

// OnClose implements engine.Handler.
func (c *echoConn) OnClose(_ *engine.Conn, reason error) {
	if !errors.Is(reason, engine.ErrStopped) {
		c.run.fail(fmt.Errorf("bench: connection %d ended: %w", c.id, reason))
	}
}

func (c *echoConn) start() {
	for range c.run.InFlight {
		c.send()
	}
}

func (c *echoConn) send() {
	putHex(c.line, uint64(c.id)<<32|uint64(c.sent))
	c.sent++
	_ = c.conn.Write(c.line) // a failure closes the connection, and OnClose tells
}

func (c *echoConn) check(line []byte) error {
	var want [16]byte
	putHex(want[:], uint64(c.id)<<32|uint64(c.received))
	if string(line[:16]) != string(want[:]) || line[len(line)-1] != '\n' {
		return fmt.Errorf("%w: connection %d got %q, not %q", ErrAudit, c.id, line[:16], want)
	}
	return nil
}

// putHex writes v as 16 hex digits.
func putHex(dst []byte, v uint64) {
	const digits = "0123456789abcdef"
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	for i, x := range b {
		dst[2*i], dst[2*i+1] = digits[x>>4], digits[x&15]
	}
}
