package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"sluice/internal/link"
	"sluice/internal/valid"
)

// Config says what a worker is. Only Gateways is needed. No number may be negative.
type Config struct {
	// Gateways are the inner addresses of the gateways, host:port. Of two that lead to the same gateway one is used; of two gateways with the same id, too, which is an error in the log.
	Gateways []string
	// Key is shared with the gateways.
	Key []byte
	// Name is for logs, at most 200 bytes. Defaults to the host's name.
	Name string
	// Build is the version of the business code, for gateways that route by it, at most 200 bytes.
	Build string
	// Weight is the worker's share of new clients, against that of others, within 1…65535. Defaults to 100.
	Weight int
	// Window bounds what a gateway's loop may have sent without an acknowledgement, in bytes, within 64 KiB…256 MiB. Defaults to 4 MiB. Beside it goes one message that is larger than half
	// of it, of 16 MiB at most. Handlers that have not returned for 2 s may hold up to four times as much of each kind besides.
	Window int
	// SlowAfter is how long a handler may take before the watchdog logs its stack. Defaults to 5 s.
	SlowAfter time.Duration
	// QueryTimeout bounds a question whose context has no deadline. Defaults to 5 s.
	QueryTimeout time.Duration
	// DrainTimeout bounds how long Run goes on, after its context has ended, with what the worker was given. Defaults to 10 s. A handler that has not
	// returned when it has passed and the links have ended, which takes up to a second, has one second more: then Run returns without it, with ErrStuck.
	DrainTimeout time.Duration
	// Dial connects to a gateway. Defaults to TCP, whose connections the worker then reads in a way that costs it less under load.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Logger defaults to slog.Default(). Its handler is called by the goroutines that read links and
	// must not block: a link serves no client while it waits. The handlers of log/slog do block when
	// what they write to is a full pipe, and the process dies of SIGPIPE when standard error has no
	// reader. The worker puts no queue of its own between, since only the program knows when to
	// flush one.
	Logger *slog.Logger
}

// ConfigError is what New returns for a Config that cannot be, whatever the machine.
type ConfigError struct {
	Field string // of Config
	Err   error  // what is wrong with it
}

// Error names the field and says what is wrong.
func (e *ConfigError) Error() string { return "worker: Config." + e.Field + ": " + e.Err.Error() }

// Unwrap is Err.
func (e *ConfigError) Unwrap() error { return e.Err }

const (
	minWindow = 64 << 10
	maxWindow = 256 << 20
)

func (c *Config) setDefaults() error {
	invalid := func(field, format string, args ...any) error {
		return &ConfigError{field, fmt.Errorf(format, args...)}
	}
	if field, err := valid.Numbers(c); err != nil {
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
	c.SlowAfter = cmp.Or(c.SlowAfter, 5*time.Second)
	c.QueryTimeout = cmp.Or(c.QueryTimeout, 5*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 10*time.Second)
	if c.Weight > 0xFFFF {
		return invalid("Weight", "%d is not within 1…65535", c.Weight)
	}
	if c.Window < minWindow || c.Window > maxWindow {
		return invalid("Window", "%d is not within %d…%d", c.Window, minWindow, maxWindow)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}
