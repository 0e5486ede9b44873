// Package intake receives reports of calls as UDP datagrams, in the layout of GatewayWorker's
// StatisticClient, so that programs in PHP can report. What has come in a second becomes one
// report.
package intake

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/worker/stat"
)

const (
	reportEvery = time.Second
	maxDatagram = 64 << 10
	readBuffer  = 1 << 20 // bytes of datagrams that wait in the kernel
	// maxFailures bounds the failures that wait to be reported. Further ones are lost, and counted.
	maxFailures = 1000
	// closeTime is how long Close tries to get rid of what has come.
	closeTime  = 3 * time.Second
	firstPause = 100 * time.Millisecond // after a report that was not taken
	lastPause  = 5 * time.Second
)

// Config configures an Intake. Addr and Take are required.
type Config struct {
	// Addr is the host:port to receive on. Everybody who can send to it can report.
	Addr string
	// Node is the name of this process in reports.
	Node string
	// Take keeps an encoded report. It is called with the same one until it returns nil.
	Take func(ctx context.Context, report []byte) error
	// Logger is the log. Defaults to slog.Default().
	Logger *slog.Logger
}

// Intake receives datagrams until Close.
type Intake struct {
	// Static after New.
	cfg     Config
	conn    *net.UDPConn
	end     context.CancelFunc // of what is being reported
	running sync.WaitGroup
	closing chan struct{}

	datagrams, invalid, lost atomic.Uint64

	mu   sync.Mutex
	come sums // guarded by mu: what is not reported yet
}

// sums are what has come in a time.
type sums struct {
	since    time.Time
	rows     map[pair]*stats.Row // bound: what has come by UDP and is not reported
	failures []stats.Failure     // bound: what has come by UDP and is not reported
	lost     uint64              // failures that had no room
}

type pair struct{ module, iface string }

// Stats are the figures of an Intake, since New.
type Stats struct {
	Datagrams    uint64 // that were received
	Invalid      uint64 // that were no reports
	LostFailures uint64 // failures that are counted, and not in the log of failures
}

// New listens on the address.
func New(cfg Config) (*Intake, error) {
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	addr, err := net.ResolveUDPAddr("udp", cfg.Addr)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(readBuffer) // the system may allow less
	in := &Intake{cfg: cfg, conn: conn, closing: make(chan struct{}), come: newSums()}
	var ctx context.Context
	ctx, in.end = context.WithCancel(context.Background())
	in.running.Go(in.receive)
	in.running.Go(func() { in.report(ctx) })
	return in, nil
}

// Addr returns the host:port that datagrams are received on.
func (in *Intake) Addr() string { return in.conn.LocalAddr().String() }

// Stats returns the figures.
func (in *Intake) Stats() Stats {
	return Stats{Datagrams: in.datagrams.Load(), Invalid: in.invalid.Load(), LostFailures: in.lost.Load()}
}

// Close ends the intake. What has come is reported first, for three seconds at most.
func (in *Intake) Close() {
	_ = in.conn.Close()
	close(in.closing)
	late := time.AfterFunc(closeTime, in.end)
	in.running.Wait()
	late.Stop()
	in.end()
}

func newSums() sums { return sums{since: time.Now(), rows: make(map[pair]*stats.Row)} }

// receive reads datagrams until the connection is closed.
func (in *Intake) receive() {
	logged := rate.Sometimes{Interval: time.Minute}
	for b := make([]byte, maxDatagram); ; {
		n, from, err := in.conn.ReadFromUDPAddrPort(b)
		select {
		case <-in.closing:
			return
		default:
		}
		if err != nil {
			if n == 0 && !from.IsValid() { // not an error of one datagram
				backoff.Sleep(context.Background(), 10*time.Millisecond)
			}
			continue
		}
		in.datagrams.Add(1)
		d, err := stat.ReadDatagram(b[:n])
		if err != nil {
			in.invalid.Add(1)
			logged.Do(func() {
				in.cfg.Logger.Warn("datagrams on --stat-udp are no reports", "addr", from.String(), "err", err)
			})
			continue
		}
		in.add(&d, from.Addr())
	}
}

// add counts a call.
func (in *Intake) add(d *stat.Datagram, from netip.Addr) {
	code := d.FailureCode()
	p := pair{stats.Name(d.Module), stats.Name(d.Interface)}
	in.mu.Lock()
	defer in.mu.Unlock()
	row := in.come.row(p)
	row.Add(d.Took, code)
	if code == 0 {
		return
	}
	if len(in.come.failures) >= maxFailures {
		in.come.lost++
		in.lost.Add(1)
		return
	}
	in.come.failures = append(in.come.failures, stats.Failure{
		Time: timeOf(d.Time), Module: row.Module, Interface: row.Interface, Code: code, Addr: from.Unmap().String(),
		Text: stats.Text(d.Text),
	})
}

// timeOf returns the time that a datagram says, or the present if that cannot be right.
func timeOf(said time.Time) time.Time {
	if now := time.Now(); now.Sub(said).Abs() > time.Minute {
		return now
	}
	return said
}

// row returns the row of a pair. When there are too many, that is the row for all others.
func (s *sums) row(p pair) *stats.Row {
	row := s.rows[p]
	if row == nil && len(s.rows) >= stats.MaxPairs-1 {
		p = pair{stats.Other, stats.Other}
		row = s.rows[p]
	}
	if row == nil {
		row = &stats.Row{Module: p.module, Interface: p.iface}
		s.rows[p] = row
	}
	return row
}

// report reports each second what has come, until Close. When ctx has ended, what is not reported
// is lost.
func (in *Intake) report(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	r := stats.Report{Node: in.cfg.Node, Seq: 1}
	_, _ = rand.Read(r.Source[:]) // it does not fail
	for last := false; !last; {
		select {
		case <-tick.C:
		case <-in.closing:
			last = true
		}
		in.mu.Lock()
		come := in.come
		in.come = newSums()
		in.mu.Unlock()
		if len(come.rows) == 0 {
			continue
		}
		r.From, r.To = come.since, time.Now()
		r.Rows, r.Failures, r.LostFailures = r.Rows[:0], come.failures, come.lost
		for _, row := range come.rows {
			r.Rows = append(r.Rows, *row)
		}
		for _, part := range stats.Encode(&r) {
			in.deliver(ctx, part)
			r.Seq++
		}
	}
}

// deliver gives a report until it is taken or ctx ends.
func (in *Intake) deliver(ctx context.Context, report []byte) {
	for failures := 1; ctx.Err() == nil; failures++ {
		if in.cfg.Take(ctx, report) == nil {
			return
		}
		pause := backoff.Delay(firstPause, lastPause, failures)
		backoff.Sleep(ctx, pause/2+mathrand.N(pause))
	}
	in.cfg.Logger.Error("a report of calls is lost, because the process ends", "bytes", len(report))
}
