// Package stat reports calls of any program to the statistics: how many, how long they took, and
// which failed. It is the tick and report of GatewayWorker's StatisticClient.
//
//	r, err := stat.New(stat.Config{Worker: w}) // in a worker; other programs have Addr instead
//	...
//	tick := r.Tick("shop", "buy")
//	err = buy(ctx, item)
//	tick.Done(err)
//
// A module is a part of a program and an interface is what was called. They come from a list that
// the program has, and not from its users: the statistics count some 1,000 pairs by themselves.
//
// Calls of a worker's Handler are reported without this package.
package stat

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Recorder counts calls. It is a *worker.Worker. Code 0 is success; addr and text belong to a
// failure.
type Recorder interface {
	Record(module, name string, took time.Duration, code uint32, addr, text string)
}

// Config says where calls are reported to: either Worker or Addr is required.
type Config struct {
	// Worker is the worker of this program, a *worker.Worker. It counts the calls and reports the sums
	// by its links, so that none is lost while it runs.
	Worker Recorder
	// Addr is where a gateway takes datagrams (--stat-udp), as host:port. Each call is a datagram in
	// the layout of GatewayWorker. UDP may lose some, and nobody learns of it.
	Addr string
}

// Reporter reports calls. Any goroutine may call its methods.
type Reporter struct {
	worker Recorder // static; nil: conn is used
	conn   net.Conn // static

	buffers sync.Pool // bound: none, the garbage collector empties it
	lost    atomic.Uint64
}

// New checks cfg and returns a Reporter. Close ends one with an Addr.
func New(cfg Config) (*Reporter, error) {
	switch {
	case (cfg.Worker == nil) == (cfg.Addr == ""):
		return nil, errors.New("stat: Config: must have a Worker or an Addr, and not both")
	case cfg.Worker != nil:
		return &Reporter{worker: cfg.Worker}, nil
	}
	if err := valid.HostPort(cfg.Addr); err != nil {
		return nil, fmt.Errorf("stat: Config.Addr: %w", err)
	}
	conn, err := net.Dial("udp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("stat: Config.Addr: %w", err)
	}
	return &Reporter{conn: conn}, nil
}

// Close closes the socket of a Reporter with an Addr. Later reports are lost.
func (r *Reporter) Close() error {
	if r.conn == nil {
		return nil
	}
	return r.conn.Close()
}

// Lost returns how many datagrams the system has not taken, for example because nobody receives at
// the address. It does not know of those that were lost later.
func (r *Reporter) Lost() uint64 { return r.lost.Load() }

// Tick is a call that has begun.
type Tick struct {
	r            *Reporter
	module, name string
	began        time.Time
}

// Tick begins a call of an interface of a module.
func (r *Reporter) Tick(module, name string) Tick { return Tick{r, module, name, time.Now()} }

// Done reports the call, which has failed if err is not nil. The code of the failure is what a
// method Code() int of err, or of an error that it wraps, returns; else 504 if err says that
// something took too long; else 1.
func (t Tick) Done(err error) {
	if err == nil {
		t.Report(true, 0, "")
		return
	}
	t.Report(false, stats.CodeOf(err), stats.TextOf(err))
}

// Report reports the call, as GatewayWorker does. A failure has a code and a text; code 0 counts as
// 1. The statistics keep neither of a call that has succeeded.
func (t Tick) Report(success bool, code uint32, text string) {
	t.r.report(&Datagram{
		Module: t.module, Interface: t.name, Took: time.Since(t.began), Success: success, Code: code, Text: text,
	})
}

func (r *Reporter) report(d *Datagram) {
	if r.worker != nil {
		text := d.Text
		if d.Success {
			text = ""
		}
		r.worker.Record(d.Module, d.Interface, d.Took, d.FailureCode(), "", text)
		return
	}
	d.Time = time.Now()
	b, _ := r.buffers.Get().(*[]byte)
	if b == nil {
		b = new([]byte)
	}
	*b = d.Append((*b)[:0])
	if _, err := r.conn.Write(*b); err != nil {
		r.lost.Add(1)
	}
	r.buffers.Put(b)
}
