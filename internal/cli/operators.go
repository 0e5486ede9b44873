package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/certs"
	"github.com/seed-7410fe32/sluice/internal/config"
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
	f.IntVar(&o.publishRate, "admin-publish-rate", 1000,
		"messages a second that each token of operators may publish; negative: any number")
	f.StringVar(&o.adminPair.Cert, "admin-tls-cert", "",
		"`file` with the certificate of --admin and those of its chain, PEM (default: no TLS)")
	f.StringVar(&o.adminPair.Key, "admin-tls-key", "", "`file` with the private key of --admin-tls-cert, PEM")
}

// operators is the admin listener of a process. Nil: there is none.
type operators struct {
	server *admin.Server
	certs  *certs.Source // nil: no TLS
	log    *slog.Logger
}

// newAdmin opens the admin listener that the flags ask for. drain starts the end of the gateway.
func newAdmin(o *options, c *cobra.Command, g *gateway.Gateway, drain func()) (*operators, error) {
	if o.admin == "" {
		for _, flag := range []string{"admin-token-file", "admin-publish-rate", "admin-tls-cert", "admin-tls-key"} {
			if o.config.onCommandLine(c.Flags(), flag) {
				return nil, usageError{fmt.Errorf("--%s needs --admin", flag)}
			}
		}
	}
	if err := checkAdmin(o); err != nil || o.admin == "" {
		return nil, err
	}
	cfg := admin.Config{
		Gateway: g, Addr: o.admin, TokenFile: o.adminTokenFile, Drain: drain, LogLevel: levelOf(o.log),
		Version: version(), Logger: o.log, Audit: unlimited(o.log), StatsTo: o.stats.to,
	}
	if o.statistics != nil {
		cfg.Stats, cfg.Alerts = o.statistics.keeper, o.statistics.alerts
		cfg.Collectors = append(cfg.Collectors, &o.stats.figures)
	}
	if o.store != nil {
		cfg.Collectors = append(cfg.Collectors, chatCollector{o.store, o.gateway.SharedInvoke})
	}
	cfg.PublishRate = o.publishRate
	if o.handlersHere {
		cfg.Collectors = append(cfg.Collectors, &o.workerFigures)
	}
	if reloads(c) {
		o.reloadAsked = make(chan chan<- bool)
		cfg.Reload = func(ctx context.Context) error { return askReload(ctx, o) }
	}
	own := &operators{log: o.log}
	var err error
	if own.certs, err = adminCerts(o); err != nil {
		return nil, err
	}
	if own.certs != nil {
		cfg.TLS = own.certs.Config()
		reloadAdminCerts(o, own.certs)
	}
	own.server, err = admin.New(cfg)
	switch {
	case errors.Is(err, admin.ErrExposed):
		return nil, exposed(o)
	case err != nil:
		return nil, fmt.Errorf("--admin: %s: %w", o.admin, err)
	}
	return own, nil
}

// adminCerts reads the certificate of the admin listener. It returns nil if there is none.
func adminCerts(o *options) (*certs.Source, error) {
	if o.adminPair == (certs.Pair{}) {
		return nil, nil
	}
	source, err := certs.New(certs.Options{Pairs: []certs.Pair{o.adminPair}, Logger: o.log.With("listener", "admin")})
	if err != nil {
		return nil, fmt.Errorf("--admin-tls-cert: %w", err)
	}
	return source, nil
}

// reloadAdminCerts makes the certificate of the admin listener be read again, from other files if
// the new configuration names some.
func reloadAdminCerts(o *options, source *certs.Source) {
	onReload(o, func(next *options) (func() error, error) {
		if next.adminPair == (certs.Pair{}) {
			return nil, errors.New("--admin-tls-cert: the certificate cannot be removed without a restart")
		}
		apply, err := source.Prepare(certs.Options{Pairs: []certs.Pair{next.adminPair}})
		if err != nil {
			return nil, fmt.Errorf("--admin-tls-cert: %w", err)
		}
		return func() error { apply(); return nil }, nil
	}, "admin-tls-cert", "admin-tls-key")
}

// checkAdmin checks the flags of the admin listener. A URL in the environment is for the commands
// of operators, and names no listener.
func checkAdmin(o *options) error {
	if strings.Contains(o.admin, "://") && o.config.sources["admin"].Kind == config.FromEnv {
		o.admin = ""
	}
	if o.admin != "" {
		if err := valid.HostPort(o.admin); err != nil {
			return usageError{fmt.Errorf("--admin: %w", err)}
		}
		if o.adminTokenFile == "" && admin.Exposed(o.admin) {
			return exposed(o)
		}
	}
	if o.adminTokenFile != "" {
		if _, err := admin.FirstToken(o.adminTokenFile); err != nil {
			return fmt.Errorf("--admin-token-file: %s: %w", o.adminTokenFile, err)
		}
	}
	if (o.adminPair.Cert == "") != (o.adminPair.Key == "") {
		return usageError{errors.New("--admin-tls-cert and --admin-tls-key need each other")}
	}
	_, err := adminCerts(o)
	return err
}

// exposed returns the error for an address of the admin listener that needs tokens.
func exposed(o *options) error {
	return usageError{fmt.Errorf("--admin: %s: without --admin-token-file it must be a loopback address", o.admin)}
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

// levelOf returns the level of the program's log, or nil if it has another one, as in tests.
func levelOf(log *slog.Logger) *slog.LevelVar {
	if h := handlerOf(log); h != nil {
		return h.Level()
	}
	return nil
}

// beside runs f, and the admin listener until f has returned.
func (s *operators) beside(f func() error) error {
	if s == nil {
		return f()
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	if s.certs != nil {
		go s.certs.Watch(ctx)
	}
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
