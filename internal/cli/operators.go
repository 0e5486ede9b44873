package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

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
func newAdmin(o *options, g *gateway.Gateway, drain func()) (*operators, error) {
	if o.admin == "" {
		if o.adminTokenFile != "" {
			return nil, usageError{errors.New("--admin-token-file needs --admin")}
		}
		return nil, nil
	}
	if err := valid.HostPort(o.admin); err != nil {
		return nil, usageError{fmt.Errorf("--admin: %w", err)}
	}
	server, err := admin.New(admin.Config{
		Gateway: g, Addr: o.admin, TokenFile: o.adminTokenFile, Drain: drain, LogLevel: o.level,
		Version: version(), Logger: o.log,
	})
	switch {
	case errors.Is(err, admin.ErrExposed):
		return nil, usageError{fmt.Errorf("--admin %s: without --admin-token-file it must be a loopback address", o.admin)}
	case err != nil:
		return nil, fmt.Errorf("--admin %s: %w", o.admin, err)
	}
	return &operators{server, o.log}, nil
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
