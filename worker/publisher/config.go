package publisher

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/seed-7410fe32/sluice/internal/valid"
	"github.com/seed-7410fe32/sluice/worker"
)

// Config configures a Publisher. Only Gateways or Discover is required. Zero selects the default of
// a number; a negative number is an error.
type Config struct {
	// Gateways are the addresses where gateways accept workers (gateway.Config.WorkerAddr), as
	// host:port. A message for a group, a uid or everyone reaches the clients of these gateways.
	Gateways []string
	// Discover finds further gateways, as worker.Config.Discover does. Defaults to none.
	Discover worker.Resolver
	// Key is the secret of gateways and workers, of at least 16 bytes. Without a key a publisher can
	// only connect to gateways on its own machine.
	Key []byte
	// TLS makes the links TLS connections, as worker.Config.TLS does. Defaults to none.
	TLS *tls.Config
	// Name is the publisher's name in logs, at most 200 bytes. Defaults to the host name.
	Name string
	// QueryTimeout bounds the wait for an answer of a gateway if the context has no deadline.
	// Defaults to 5 s.
	QueryTimeout time.Duration
	// ConnectTimeout bounds how long With waits for gateways. Defaults to 10 s.
	ConnectTimeout time.Duration
	// Dial connects to a gateway. Defaults to TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Logger is the log. Defaults to slog.Default().
	Logger *slog.Logger
}

// ConfigError is the error of New for an invalid Config.
type ConfigError struct {
	Field string // the name of the field of Config
	Err   error  // why its value is invalid
}

// Error returns the name of the field and what is wrong with it.
func (e *ConfigError) Error() string { return "publisher: Config." + e.Field + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// newWorker checks the configuration and returns the worker without clients that it describes.
func (c *Config) newWorker() (*worker.Worker, error) {
	if field, err := valid.Numbers(c); err != nil {
		return nil, &ConfigError{field, err}
	}
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 10*time.Second)
	w, err := worker.New(worker.Config{
		NoClients: true, Gateways: c.Gateways, Discover: c.Discover, Key: c.Key, TLS: c.TLS, Name: c.Name,
		QueryTimeout: c.QueryTimeout, Dial: c.Dial, Logger: c.Logger,
	}, worker.Handler{})
	if e, ok := errors.AsType[*worker.ConfigError](err); ok {
		return nil, &ConfigError{e.Field, e.Err}
	}
	return w, err
}
