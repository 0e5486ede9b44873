package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Config configures a Worker. Only Gateways is required. A number of 0 means the default. A negative
// number is refused, except for SlowHandlerThreshold.
type Config struct {
	// Gateways are the worker addresses of the gateways (gateway.Config.WorkerAddr), host:port. Of two
	// addresses that lead to the same gateway one is used.
	Gateways []string
	// Key authenticates the worker to the gateways, which have the same key.
	Key []byte
	// Name is the worker's name in logs, at most 200 bytes. Defaults to the name of the host.
	Name string
	// Build is the version of the business code, for gateways that route by it, at most 200 bytes.
	Build string
	// Weight is the worker's share of new clients relative to other workers, within 1 and 65535.
	// Defaults to 100.
	Weight int
	// Window bounds what an event loop of a gateway may have sent to the worker without an
	// acknowledgement, in bytes, within 64 KiB and 256 MiB. One message that is larger than half of it
	// is allowed besides, and four times as much of each kind that handlers have held for more than
	// 2 s. Defaults to 4 MiB.
	Window int
	// MaxDeliveries is how often an event whose handler returns Retry is delivered, within 1 and 255.
	// Defaults to 5.
	MaxDeliveries int
	// SlowHandlerThreshold is how long a handler may run before its stack is logged. Negative turns that off.
	// Defaults to 5 s.
	SlowHandlerThreshold time.Duration
	// QueryTimeout bounds the wait for an answer of a gateway where the context has no deadline.
	// Defaults to 5 s.
	QueryTimeout time.Duration
	// DrainTimeout bounds how long Run goes on after its context has ended. Then the contexts of
	// handlers are done. A handler that has not returned a second later is left behind: Run returns
	// ErrHandlersRunning. Defaults to 10 s.
	DrainTimeout time.Duration
	// Dial connects to a gateway. Defaults to TCP, whose connections the worker then reads in a way
	// that costs less under load.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Logger is the log. It is called by goroutines that read links, and must not block. Defaults to
	// slog.Default(), whose handler does block when standard error is a pipe that nobody reads.
	Logger *slog.Logger
}

// ConfigError is returned by New for a Config that is invalid.
type ConfigError struct {
	Field string // of Config
	Err   error  // what is wrong with it
}

// Error names the field and says what is wrong.
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
	if field, err := valid.Numbers(c, "SlowHandlerThreshold"); err != nil {
		return &ConfigError{field, err}
	}
	if len(c.Gateways) == 0 {
		return invalid("Gateways", "at least one is needed")
	}
	for _, addr := range c.Gateways {
		if err := valid.HostPort(addr); err != nil && c.Dial == nil {
			return invalid("Gateways", "%w (workers dial the inner address of a gateway, not where clients connect)", err)
		}
	}
	for field, s := range map[string]string{"Name": c.Name, "Build": c.Build} {
		if len(s) > link.MaxName {
			return invalid(field, "%d bytes are too long, at most %d are sent to gateways", len(s), link.MaxName)
		}
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname()
	}
	c.Weight = cmp.Or(c.Weight, 100)
	c.Window = cmp.Or(c.Window, 4<<20)
	c.MaxDeliveries = cmp.Or(c.MaxDeliveries, 5)
	c.SlowHandlerThreshold = cmp.Or(c.SlowHandlerThreshold, 5*time.Second)
	c.QueryTimeout = cmp.Or(c.QueryTimeout, 5*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 10*time.Second)
	if c.Weight > 0xFFFF {
		return invalid("Weight", "%d: must be within 1 and 65535", c.Weight)
	}
	if c.MaxDeliveries > 255 {
		return invalid("MaxDeliveries", "%d: must be within 1 and 255", c.MaxDeliveries)
	}
	if c.Window < minWindow || c.Window > maxWindow {
		return invalid("Window", "%d: must be within %d and %d", c.Window, minWindow, maxWindow)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}
