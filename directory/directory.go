// Package directory connects gateways and workers to what they share: a directory in Redis, or in
// what speaks its protocol, Valkey for example.
//
//	dir, err := directory.Open(directory.Config{URL: "redis://10.0.0.9:6379"})
//	if err != nil { ... }
//	defer dir.Close()
//	g, err := gateway.New(gateway.Config{Directory: dir, Advertise: "10.0.0.5:2300", ...})
//	w, err := worker.New(worker.Config{Discover: dir.Gateways(), ...}, handler)
//
// Gateways lease their ids in it and say where workers reach them, so that workers find them.
// Messages do not go through it. While it does not answer, everything that is connected goes on.
package directory

import (
	"log/slog"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/directory/redisdir"
	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/membership"
)

// Config configures a Directory. Only URL is required.
type Config struct {
	// URL says where Redis is:
	//
	//	redis://[USER:PASSWORD@]HOST[:PORT][/DB]
	//	redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST...]/NAME[/DB][?sentinel_user=U&sentinel_password=P]
	//	redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST...]
	//
	// With rediss instead of redis it is reached with TLS.
	URL string
	// PasswordFile is a file with the password, which the URL must not have then. It is read again
	// during an outage.
	PasswordFile string
	// CAFile is a file with the certificates, PEM, that sign those of the servers. It needs a URL
	// with TLS. Defaults to those of the system.
	CAFile string
	// Prefix begins all keys. Gateways and workers that belong together have the same. With a
	// Cluster it has no braces. Defaults to "sluice".
	Prefix string
	// Logger gets outages and their ends. Defaults to slog.Default().
	Logger *slog.Logger
}

// Check returns an error if Open would not accept the Config. It reads the files and connects to
// nothing.
func (c *Config) Check() error {
	driver := c.driver()
	return driver.Check()
}

func (c *Config) driver() redisdir.Config {
	return redisdir.Config{
		URL: c.URL, PasswordFile: c.PasswordFile, CAFile: c.CAFile, Prefix: c.Prefix, Logger: c.Logger,
	}
}

// Directory is a connection to a directory, for gateway.Config.Directory. Any goroutine may use it.
// Its methods are for gateways, except Close and Gateways.
type Directory struct {
	directory.Directory
	log *slog.Logger
}

// Open returns a Directory. It waits a second at most for Redis. If Redis does not answer then, the
// Directory connects later. The error is about the Config.
func Open(cfg Config) (*Directory, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	d, err := redisdir.New(cfg.driver())
	if err != nil {
		return nil, err
	}
	return &Directory{d, cfg.Logger}, nil
}

// Gateways returns a worker.Resolver for worker.Config.Discover. It lists the gateways that have
// started first, first.
func (d *Directory) Gateways() *membership.Resolver { return membership.NewResolver(d, d.log) }

// Kept returns what gateways keep in the directory under a name, for programs that come with this
// module.
func (d *Directory) Kept(name string) kv.Remote {
	return redisdir.Keep(d.Directory.(*redisdir.Directory), name) //nolint:forcetypeassert // Open has made it
}
