package redisdir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/redisurl"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Config configures a Directory. URL is required.
type Config struct {
	// URL says where Redis is:
	//
	//	redis://[USER:PASSWORD@]HOST[:PORT][/DB]
	//	redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST...]/NAME[/DB][?sentinel_user=U&sentinel_password=P]
	//	redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST...]
	//
	// With rediss instead of redis it is reached with TLS. The hosts of Sentinel are those of the
	// Sentinels, NAME is what they call the primary. Of a Cluster some nodes suffice.
	URL string
	// PasswordFile has the password if the URL has none. It is read again during an outage.
	PasswordFile string
	// CAFile has the certificates, PEM, that sign those of the servers. It needs a URL with TLS.
	// Defaults to those of the system.
	CAFile string
	// Prefix begins each key and channel, with a colon after it. Gateways and workers that belong
	// together have the same. With a Cluster it has no braces. Defaults to "sluice".
	Prefix string
	// Timeout bounds each exchange with Redis. Most calls make one. Claim, Put and Release make two,
	// List and the calls of Presence one for each 1,000 rows or sets. Defaults to 1 s.
	Timeout time.Duration
	// Keep is how long a free row stays. Defaults to directory.Keep.
	Keep time.Duration
	// EntryTTL is how long a gateway is in a set after its last Enter. Defaults to
	// directory.EntryTTL.
	EntryTTL time.Duration
	// Logger receives outages and what follows. Defaults to slog.Default().
	Logger *slog.Logger
}

// Check returns an error if New would not accept the Config. It reads the files and connects to
// nothing.
func (c *Config) Check() error {
	with := *c
	_, err := with.check()
	return err
}

func (c *Config) check() (redisurl.Target, error) {
	if field, err := valid.Numbers(c); err != nil {
		return redisurl.Target{}, fmt.Errorf("redisdir: Config.%s: %w", field, err)
	}
	if c.Prefix == "" {
		c.Prefix = "sluice"
	}
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	if c.Keep == 0 {
		c.Keep = directory.Keep
	}
	if c.EntryTTL == 0 {
		c.EntryTTL = directory.EntryTTL
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	t, err := redisurl.Parse(c.URL)
	if err != nil {
		return redisurl.Target{}, fmt.Errorf("redisdir: Config.URL: %w", err)
	}
	switch {
	case c.CAFile != "" && !t.TLS:
		err = errors.New("a file with certificates needs TLS: rediss://, rediss+sentinel:// or rediss+cluster://")
	case c.PasswordFile != "" && t.Password != "":
		err = errors.New("the password must be in the URL or in a file, not in both")
	case t.Cluster && strings.ContainsAny(c.Prefix, "{}"):
		err = errors.New("the prefix must not have braces, because all keys would be on one server of the Cluster")
	default:
		_, err = c.option(t)
	}
	if err != nil {
		return redisurl.Target{}, fmt.Errorf("redisdir: %w", err)
	}
	return t, nil
}

// Directory is the client of a directory in Redis. Its methods may be called by any goroutine.
type Directory struct {
	// Static after New.
	cfg    Config
	server *server

	number  atomic.Uint64 // of the last call of Enter or Leave
	watches atomic.Uint64
}

var errClosed = fmt.Errorf("%w: closed", directory.ErrUnavailable)

// New returns a client. It waits for the first attempt to reach Redis, but no longer than Timeout.
// If that fails, the directory is not up for the time being. The error is about the Config.
func New(cfg Config) (*Directory, error) {
	t, err := cfg.check()
	if err != nil {
		return nil, err
	}
	d := &Directory{cfg: cfg, server: newServer(cfg, t)}
	d.number.Store(uint64(time.Now().UnixMicro())) // larger than those of a client before
	first := make(chan struct{})
	d.server.ended.Go(func() { d.server.keep(first) })
	select {
	case <-first:
	case <-time.After(cfg.Timeout):
	}
	return d, nil
}

// Close implements directory.Directory.
func (d *Directory) Close() { d.server.close() }

// State implements directory.Directory.
func (d *Directory) State() directory.State {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	state := d.server.state
	if !state.Up {
		state.Err = d.server.why
	}
	return state
}

// Generation implements directory.Directory.
func (d *Directory) Generation(ctx context.Context) (string, error) {
	client, err := d.server.up()
	if err != nil {
		return "", err
	}
	ctx, cancel := d.server.bounded(ctx)
	defer cancel()
	generation, err := d.server.generation(ctx, client, nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	return generation, nil
}

// Changed implements directory.Directory.
func (d *Directory) Changed() <-chan struct{} {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	return d.server.changed
}

// Stats implements directory.Directory.
func (d *Directory) Stats() directory.Stats {
	s := d.server
	return directory.Stats{
		Commands: s.commands.Load(), Errors: s.errors.Load(), Refused: s.refused.Load(), Outages: s.outages.Load(),
		Generations: s.generations.Load(), Watches: d.watches.Load(),
	}
}
