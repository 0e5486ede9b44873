package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// adminFlags adds the flags of the admin listener.
func adminFlags(c *cobra.Command, o *options) {
	f := c.Flags()
	f.StringVar(&o.admin, "admin", "",
		"`HOST:PORT` of probes, metrics, profiles and the API for operators (default: none)")
	f.StringVar(&o.adminTokenFile, "admin-token-file", "",
		"`file` with the tokens of operators, one in each line; without it --admin must be a loopback "+
			"address")
}

// operators is the admin listener of a process. Nil: there is none.
type operators struct {
	server *admin.Server
	log    *slog.Logger
}

// newAdmin opens the admin listener that the flags ask for. drain starts the end of the gateway.
func newAdmin(o *options, c *cobra.Command, g *gateway.Gateway, drain func()) (*operators, error) {
	addr := o.admin
	if strings.Contains(addr, "://") && !o.config.onCommandLine(c.Flags(), "admin") {
		addr = "" // in the environment, a URL is for the commands of operators
	}
	if addr == "" {
		if o.config.onCommandLine(c.Flags(), "admin-token-file") {
			return nil, usageError{errors.New("--admin-token-file needs --admin")}
		}
		return nil, nil
	}
	o.admin = addr
	if err := checkAdmin(o); err != nil {
		return nil, err
	}
	cfg := admin.Config{
		Gateway: g, Addr: addr, TokenFile: o.adminTokenFile, Drain: drain, LogLevel: levelOf(o.log),
		Version: version(), Logger: o.log,
	}
	if o.config.path != "" || o.workers > 0 {
		o.reloadAsked = make(chan chan<- bool)
		cfg.Reload = func(ctx context.Context) error { return askReload(ctx, o) }
	}
	server, err := admin.New(cfg)
	switch {
	case errors.Is(err, admin.ErrExposed):
		return nil, usageError{fmt.Errorf("--admin: %s: without --admin-token-file it must be a loopback address", addr)}
	case err != nil:
		return nil, fmt.Errorf("--admin: %s: %w", addr, err)
	}
	return &operators{server, o.log}, nil
}

// checkAdmin checks the flags of the admin listener.
func checkAdmin(o *options) error {
	if o.admin != "" {
		if err := valid.HostPort(o.admin); err != nil {
			return usageError{fmt.Errorf("--admin: %w", err)}
		}
	}
	if o.adminTokenFile != "" {
		if _, err := firstToken(o.adminTokenFile); err != nil {
			return fmt.Errorf("--admin-token-file: %s: %w", o.adminTokenFile, err)
		}
	}
	return nil
}

// askReload reads the configuration again and waits until it is in effect, as SIGHUP does.
func askReload(ctx context.Context, o *options) error {
	answer := make(chan bool, 1)
	select {
	case o.reloadAsked <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case ok := <-answer:
		if !ok {
			return errors.New("the configuration is wrong, see the log")
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leveled is a log handler whose level can be changed.
type leveled struct {
	slog.Handler
	level *slog.LevelVar
}

func newLeveled(out io.Writer) leveled {
	level := new(slog.LevelVar)
	return leveled{slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}), level}
}

// levelOf returns the level of a log that can be changed, or nil.
func levelOf(log *slog.Logger) *slog.LevelVar {
	h, _ := log.Handler().(leveled)
	return h.level
}

// beside runs f, and the admin listener until f has returned.
func (s *operators) beside(f func() error) error {
	if s == nil {
		return f()
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.server.Run(ctx); err != nil {
			s.log.Error("admin listener failed", "err", err)
		}
	}()
	defer func() {
		stop()
		<-ended
	}()
	return f()
}
