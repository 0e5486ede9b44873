package worker

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Config configures a Worker. Only Gateways or Discover is required. Zero selects the default of a
// number. A negative number is an error, except for SlowHandlerThreshold and MaxBlockedCalls.
type Config struct {
	// Gateways are the addresses where gateways accept workers (gateway.Config.WorkerAddr), as
	// host:port. If two addresses lead to the same gateway, one of them is used.
	Gateways []string
	// Discover finds further gateways while the worker runs, at most 4,096 with those of Gateways.
	// Defaults to none.
	Discover Resolver
	// NoClients makes the worker a publisher: gateways give it no clients and do not count it as a
	// worker. Its Handler may have Start and Stop only. Package worker/publisher is made of such a
	// worker.
	NoClients bool
	// Key is the secret that authenticates the worker and the gateways to each other. All have the
	// same key, of at least 16 bytes. Without a key a worker can only connect to gateways on its own
	// machine.
	Key []byte
	// TLS makes the links TLS connections, besides the Key. The gateways must have
	// gateway.Config.LinkTLS then. Without a ServerName the host of the address is verified. Nil
	// means that nothing is encrypted.
	TLS *tls.Config
	// Name is the worker's name in logs, at most 200 bytes. Defaults to the host name.
	Name string
	// Module is whose calls the statistics count, at most 200 bytes: the same for all workers that run
	// the same business code. Defaults to Name.
	Module string
	// Build is the version of the business code, at most 200 bytes. Gateways can route by it.
	Build string
	// Weight is the worker's share of new clients relative to other workers, between 1 and 65535.
	// Defaults to 100.
	Weight int
	// Window bounds the unacknowledged bytes that an event loop of a gateway may have sent to the
	// worker, within 64 KiB and 256 MiB. One message larger than half of the window is allowed in
	// addition. Messages whose handlers have run for more than 2 s are counted apart, up to four
	// windows for small messages and four for large ones. Defaults to 4 MiB.
	Window int
	// MaxDeliveries is how often an event is delivered if its handler returns Retry, between 1 and
	// 255. Defaults to 5.
	MaxDeliveries int
	// MaxBlockedCalls is how many calls may block at once, each of another client. A call that blocks
	// costs a goroutine of about 8 KiB. When there are as many, all further events wait in order,
	// and other clients wait too, until a call returns (Stats.Waiting). A call that blocks just then
	// is allowed in addition, one for each link. Negative means any number. Defaults to 65,536.
	MaxBlockedCalls int
	// SlowHandlerThreshold is how long a handler may run before its stack is logged. Negative
	// disables the log. Defaults to 5 s.
	SlowHandlerThreshold time.Duration
	// QueryTimeout bounds the wait for an answer of a gateway if the context has no deadline.
	// Defaults to 5 s.
	QueryTimeout time.Duration
	// DrainTimeout bounds the drain, which begins when the context of Run is done. After it the
	// contexts of handlers are done. If a handler has not returned a second later, Run returns
	// ErrHandlersRunning. Defaults to 10 s.
	DrainTimeout time.Duration
	// OnStats takes the reports about the worker's calls in place of the gateways, for a program that
	// keeps them itself: a gateway in the same process, that may end before the worker. It is what
	// gateway.Config.OnStats is. It is called on one goroutine, with the same report until it
	// returns nil. Nil: the gateways take the reports.
	OnStats func(ctx context.Context, report []byte) error
	// Dial connects to a gateway. Defaults to TCP, whose sockets the worker reads in a way that
	// costs less under load.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Logger is the log. Goroutines that read links call it, so it must not block. Defaults to
	// slog.Default(), whose handler blocks when standard error is a pipe that nobody reads.
	Logger *slog.Logger
}

// ConfigError is the error of New for an invalid Config.
type ConfigError struct {
	Field string // the name of the field of Config
	Err   error  // why its value is invalid
}

// Error returns the name of the field and what is wrong with it.
func (e *ConfigError) Error() string { return "worker: Config." + e.Field + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

const (
	minWindow = 64 << 10
	maxWindow = 256 << 20
)

func (c *Config) setDefaults() error {
	invalid := func(field, format string, args ...any) error {
		return &ConfigError{field, fmt.Errorf(format, args...)}
	}
	if field, err := valid.Numbers(c, "SlowHandlerThreshold", "MaxBlockedCalls"); err != nil {
		return &ConfigError{field, err}
	}
	if len(c.Gateways) == 0 && c.Discover == nil {
		return invalid("Gateways", "must have at least one address")
	}
	if len(c.Gateways) > maxGateways {
		return invalid("Gateways", "%d addresses: must be at most %d", len(c.Gateways), maxGateways)
	}
	for _, addr := range c.Gateways {
		if err := valid.HostPort(addr); err != nil && c.Dial == nil {
			return invalid("Gateways", "%w (give the worker port of a gateway, not a port for clients)", err)
		}
	}
	for field, s := range map[string]string{"Name": c.Name, "Module": c.Module, "Build": c.Build} {
		if len(s) > link.MaxName {
			return invalid(field, "%d bytes: must be at most %d", len(s), link.MaxName)
		}
	}
	if err := valid.Key(c.Key); err != nil {
		return &ConfigError{"Key", err}
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname()
	}
	c.Module = cmp.Or(c.Module, c.Name)
	c.Weight = cmp.Or(c.Weight, 100)
	c.Window = cmp.Or(c.Window, 4<<20)
	c.MaxDeliveries = cmp.Or(c.MaxDeliveries, 5)
	c.MaxBlockedCalls = cmp.Or(c.MaxBlockedCalls, 65_536)
	c.SlowHandlerThreshold = cmp.Or(c.SlowHandlerThreshold, 5*time.Second)
	c.QueryTimeout = cmp.Or(c.QueryTimeout, 5*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 10*time.Second)
	if c.Weight > 0xFFFF {
		return invalid("Weight", "%d: must be between 1 and 65535", c.Weight)
	}
	if c.MaxDeliveries > 255 {
		return invalid("MaxDeliveries", "%d: must be between 1 and 255", c.MaxDeliveries)
	}
	if c.Window < minWindow || c.Window > maxWindow {
		return invalid("Window", "%d: must be between %d and %d", c.Window, minWindow, maxWindow)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}
