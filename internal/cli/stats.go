package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/pflag"
	"golang.org/x/time/rate"

	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/internal/stats/alert"
	"github.com/seed-7410fe32/sluice/internal/stats/forward"
	"github.com/seed-7410fe32/sluice/internal/stats/intake"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// statsOptions are the flags about statistics, and what is made of them.
type statsOptions struct {
	maxBytes          int    // of the file
	to, toToken, toCA string // the node that keeps; empty: this one
	udp               string // host:port of datagrams; empty: none
	alerts            string // file with alert rules and webhooks; empty: none

	figures statsCollector
}

// addFlags adds the flags about statistics.
func (s *statsOptions) addFlags(f *pflag.FlagSet) {
	f.IntVar(&s.maxBytes, "stats-max-bytes", 256<<20,
		"`bytes` of the file with statistics in --data, at least 16777216; past it the oldest are removed")
	f.StringVar(&s.to, "stats-to", "",
		"`URL` of the --admin of the node that keeps statistics, http://HOST:PORT or https://HOST:PORT (default: "+
			"this process keeps them)")
	f.StringVar(&s.toToken, "stats-to-token-file", "", "`file` with the token for --stats-to, of the scope report")
	f.StringVar(&s.toCA, "stats-to-ca", "",
		"`file` with the certificates that sign that of --stats-to (default: those of the system)")
	f.StringVar(&s.alerts, "alerts", "",
		"YAML `file` with alert rules and webhooks, read again on SIGHUP (default: the rules of the dashboard only)")
	f.StringVar(&s.udp, "stat-udp", "",
		"`HOST:PORT` where programs report calls as UDP datagrams; everybody who can send to it can report (default: "+
			"none)")
}

// readAlerts reads the file with alert rules, or returns one without rules.
func (s *statsOptions) readAlerts() (*alert.File, error) {
	if s.alerts == "" {
		return new(alert.File), nil
	}
	f, err := alert.ReadFile(s.alerts)
	if err != nil {
		return nil, usageError{settingError{"alerts", -1, err}}
	}
	return f, nil
}

// check refuses values that are not possible.
func (s *statsOptions) check(o *options) error {
	wrong := func(flag, format string, args ...any) error {
		return usageError{settingError{flag, -1, fmt.Errorf(format, args...)}}
	}
	if s.maxBytes < keep.MinBytes {
		return wrong("stats-max-bytes", "%d: must be at least %d", s.maxBytes, keep.MinBytes)
	}
	if s.to != "" {
		if err := forward.CheckURL(s.to); err != nil {
			return wrong("stats-to", "%w", err)
		}
	} else if s.toToken != "" {
		return wrong("stats-to-token-file", "needs --stats-to")
	} else if s.toCA != "" {
		return wrong("stats-to-ca", "needs --stats-to")
	}
	if s.alerts != "" && s.to != "" {
		return wrong("alerts", "the node of --stats-to keeps the statistics: give it the file")
	}
	keeps := o.data != "" || s.keepsInMemory(o)
	if s.alerts != "" && !keeps {
		return wrong("alerts", "needs --data or --admin: nothing keeps statistics")
	}
	if s.udp == "" {
		return nil
	}
	if err := valid.HostPort(s.udp); err != nil {
		return wrong("stat-udp", "%w", err)
	}
	if s.to == "" && !keeps {
		return wrong("stat-udp", "needs --data, --stats-to or --admin: nothing keeps the statistics")
	}
	return nil
}

// keepsInMemory reports whether statistics are for --admin only. A URL is not for this process, see
// checkAdmin.
func (s *statsOptions) keepsInMemory(o *options) bool {
	return o.admin != "" && !strings.Contains(o.admin, "://")
}

// statistics is what this process does with reports of calls.
type statistics struct {
	keeper  *keep.Keeper    // nil: this process keeps none
	sender  *forward.Sender // nil: this process sends none
	intake  *intake.Intake  // nil: no datagrams
	alerts  *alert.Alerts   // nil: this process has none
	log     *slog.Logger
	logRate *rate.Limiter

	endAlerts context.CancelFunc
	checking  sync.WaitGroup
}

// openStats opens what the flags ask for. It returns nil if that is nothing. The caller closes it.
func openStats(o *options) (s *statistics, err error) {
	if err := o.stats.check(o); err != nil {
		return nil, err
	}
	s = &statistics{log: o.log, logRate: rate.NewLimiter(1, 5)}
	switch {
	case o.stats.to != "":
		s.sender, err = o.stats.newSender(o.log)
	case o.data != "":
		if s.keeper, err = keep.Open(o.data, keep.Config{MaxBytes: o.stats.maxBytes, Logger: o.log}); err != nil {
			err = fmt.Errorf("--data: %w", err)
		}
	case o.stats.keepsInMemory(o):
		s.keeper, err = keep.New(keep.Config{Logger: o.log})
	default:
		return nil, nil
	}
	if err == nil && o.stats.udp != "" {
		s.intake, err = intake.New(intake.Config{Addr: o.stats.udp, Node: nodeName(), Take: s.take, Logger: o.log})
		if err != nil {
			err = fmt.Errorf("--stat-udp: %s: %w", o.stats.udp, err)
		}
	}
	if err == nil && s.keeper != nil {
		err = s.openAlerts(o)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	o.stats.figures.of.Store(s)
	return s, nil
}

// openAlerts begins to check the alert rules.
func (s *statistics) openAlerts(o *options) error {
	file, err := o.stats.readAlerts()
	if err != nil {
		return err
	}
	cfg := alert.Config{Keeper: s.keeper, File: file, Logger: o.log}
	if o.data != "" {
		cfg.State = filepath.Join(o.data, "alerts.json")
	}
	if s.alerts, err = alert.New(cfg); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	ctx, end := context.WithCancel(context.Background())
	s.endAlerts = end
	s.checking.Go(func() { s.alerts.Run(ctx) })
	onReload(o, func(next *options) (func() error, error) {
		file, err := next.stats.readAlerts()
		if err != nil {
			return nil, err
		}
		return func() error {
			s.alerts.SetFile(file)
			if next.stats.alerts != "" {
				s.log.Info("alert rules reloaded", "file", next.stats.alerts)
			}
			return nil
		}, nil
	}, "alerts")
	return nil
}

// tell logs where statistics go.
func (s *statistics) tell(o *options) {
	switch {
	case s.sender != nil:
		s.log.Info("statistics are sent to another node", "url", o.stats.to)
	case s.keeper.Path() != "":
		s.log.Info("statistics are kept", "file", s.keeper.Path(), "bytes", o.stats.maxBytes)
	default:
		s.log.Info("statistics of the last hour are kept in memory: --data keeps them on disk")
	}
	if s.intake != nil {
		s.log.Info("statistics are received as datagrams", "addr", s.intake.Addr())
	}
}

// nodeName is the name of this process in reports.
func nodeName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "gateway"
	}
	return name
}

// newSender returns what sends reports to the node that keeps.
func (s *statsOptions) newSender(log *slog.Logger) (*forward.Sender, error) {
	cfg := forward.Config{URL: s.to, Logger: log}
	if file := s.toToken; file != "" {
		cfg.Token = func() (string, error) {
			token, err := admin.FirstToken(file)
			if err != nil {
				return "", fmt.Errorf("--stats-to-token-file %s: %w", file, err)
			}
			return token, nil
		}
		if _, err := cfg.Token(); err != nil {
			return nil, err
		}
	}
	if s.toCA != "" {
		pem, err := os.ReadFile(s.toCA)
		if err != nil {
			return nil, fmt.Errorf("--stats-to-ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--stats-to-ca %s: has no certificate", s.toCA)
		}
		cfg.TLS = &tls.Config{RootCAs: roots}
	}
	if u, err := url.Parse(s.to); err == nil && s.toToken != "" && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		log.Warn("the token for --stats-to can be read on the way: use https", "url", s.to)
	}
	return forward.New(cfg)
}

// isLoopback reports whether a host is this machine, as far as this can be told without resolving
// a name.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// take keeps a report of a worker, or sends it to the node that keeps. A report that is not valid
// is lost: it would never be kept.
func (s *statistics) take(ctx context.Context, report []byte) error {
	r, err := stats.ReadReport(report)
	switch {
	case err != nil:
		if s.logRate.Allow() {
			s.log.Error("a report of calls is lost, because it is not valid", "bytes", len(report), "err", err)
		}
		return nil
	case s.sender != nil:
		return s.sender.Take(ctx, report)
	}
	return s.keeper.Take(ctx, &r)
}

// close closes what openStats has opened, after the gateway has ended.
func (s *statistics) close() {
	if s == nil {
		return
	}
	if s.alerts != nil {
		s.endAlerts()
		s.checking.Wait()
	}
	if s.intake != nil {
		s.intake.Close()
	}
	if s.sender != nil {
		s.sender.Close()
	}
	if s.keeper != nil {
		if err := s.keeper.Close(); err != nil && !errors.Is(err, keep.ErrClosed) {
			s.log.Error("the statistics were not closed", "err", err)
		}
	}
}
