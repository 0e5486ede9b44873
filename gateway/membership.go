package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/membership"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// ErrIDTaken is returned by Run when another gateway in Config.Directory holds the id: before it
// has listened, or after it has drained.
var ErrIDTaken = errors.New("gateway: another gateway has the id")

// place is the gateway's place in Config.Directory. Without a directory its methods do nothing.
type place struct {
	member atomic.Pointer[membership.Member] // the gateway's row; nil until the id is leased
}

// join leases the gateway's id. It waits while the directory does not answer. drain is called when
// another gateway has taken the id. leave frees the id. If ctx ends before the id is leased, the
// error is that of ctx.
func (p *place) join(ctx context.Context, g *Gateway, drain func()) (leave func() error, err error) {
	if g.cfg.Directory == nil {
		return func() error { return nil }, nil
	}
	m, err := membership.Join(ctx, membership.Config{
		Directory: g.cfg.Directory, ID: g.cfg.ID, Name: g.cfg.Name, Logger: g.log,
	})
	if errors.Is(err, membership.ErrTaken) {
		return nil, fmt.Errorf("%w: %w", ErrIDTaken, err)
	}
	if err != nil {
		return nil, err
	}
	p.member.Store(m)
	keeping, stop := context.WithCancel(context.Background())
	var both sync.WaitGroup
	taken := false
	both.Go(func() { m.Run(keeping) })
	both.Go(func() {
		select {
		case <-keeping.Done():
		case <-m.Taken():
			g.log.Error("another gateway has taken the id, draining", "gateway", g.cfg.ID)
			taken = true
			drain()
		}
	})
	return func() error {
		stop()
		both.Wait()
		if taken {
			return ErrIDTaken
		}
		return nil
	}, nil
}

// entry is what the gateway enters into sets: its id and the epoch of the row at its start. The
// epoch of a later start is larger.
func (p *place) entry(id uint32) directory.Member {
	m := directory.Member{Gateway: id}
	if row := p.member.Load(); row != nil {
		m.Epoch, _ = row.Epoch()
	}
	return m
}

// announce tells where the worker port is.
func (p *place) announce(g *Gateway) {
	if m := p.member.Load(); m != nil {
		addr := advertised(&g.cfg, g.WorkerAddr())
		m.Announce(addr)
		g.log.Info("gateway is in the directory", "gateway", g.cfg.ID, "addr", addr)
	}
}

// entered tells that all groups and uids are in the directory, after that was in doubt.
func (p *place) entered(number uint64) {
	if m := p.member.Load(); m != nil {
		m.SetEntered(number)
	}
}

// drain tells that the gateway closes down.
func (p *place) drain() {
	if m := p.member.Load(); m != nil {
		m.Drain()
	}
}

// advertised returns the host:port where others reach the worker port, which listens at bound.
func advertised(c *Config, bound string) string {
	if c.Advertise != "" {
		return c.Advertise
	}
	host, _, _ := net.SplitHostPort(c.WorkerAddr) // it is checked
	_, port, _ := net.SplitHostPort(bound)
	return net.JoinHostPort(host, port)
}

// checkAdvertised returns an error if others could not connect to the address in the directory.
func (c *Config) checkAdvertised() error {
	if c.Advertise == "" && valid.Dialable(c.WorkerAddr) != nil {
		return invalid("Advertise", "must be set with a Directory: others cannot connect to %q", c.WorkerAddr)
	}
	if err := valid.Dialable(c.Advertise); c.Advertise != "" && err != nil {
		return &ConfigError{"Advertise", err}
	}
	return nil
}

// DirectoryStats are figures of Config.Directory, and of the gateway's row in it. They are 0
// without a Directory.
type DirectoryStats struct {
	Up        int    // 1: the directory answers
	Leased    int    // 1: the lease of the id has been renewed in time
	Reclaimed uint64 // times that the lease was lost and taken again
	Commands  uint64 // calls that were sent to the directory
	Errors    uint64 // of them, those that failed
	Refused   uint64 // calls that failed at once because the directory did not answer before
	Outages   uint64 // times that the directory stopped to answer
}

// stats returns the figures.
func (p *place) stats(c *Config) (s DirectoryStats) {
	if m := p.member.Load(); m != nil {
		own := m.Stats()
		s.Leased, s.Reclaimed = oneIf(own.Leased), own.Reclaimed
	}
	if d := c.Directory; d != nil {
		of := d.Stats()
		s.Up = oneIf(d.State().Up)
		s.Commands, s.Errors, s.Refused, s.Outages = of.Commands, of.Errors, of.Refused, of.Outages
	}
	return s
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
