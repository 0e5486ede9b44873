// Package admin serves HTTP for the operators of a gateway: probes, metrics, profiles and an API
// that shows and changes what the gateway does. It has a listener of its own.
//
//	GET /                    the dashboard, a web page (package dashboard), without a token
//	GET /session             whether a login is needed, and who is logged in; POST /login, /logout
//	GET /livez, /readyz      probes, without a token
//	GET /metrics             Prometheus
//	GET /debug/pprof/        net/http/pprof
//	    /api/v1/...          see openapi.yaml, which /api/v1/openapi.yaml serves
//
// A server knows its own gateway only. It reads the figures of the gateway's loops when a request
// asks for them, and adds nothing to the path of a message.
package admin

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/stats/alert"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// ErrExposed is returned by New for an address that is not a loopback address, without tokens.
var ErrExposed = errors.New("admin: an address that is not a loopback address needs a token file")

// Config configures a Server. Gateway and Addr are required.
type Config struct {
	Gateway *gateway.Gateway
	// Addr is the host:port to listen on. Port 0 picks a free port.
	Addr string
	// TokenFile is a file with tokens, one in each line: TOKEN, NAME TOKEN or NAME TOKEN
	// SCOPE[,SCOPE...], with the scopes read, publish, publish:KIND=NAME, report and operate. Empty
	// lines and lines that begin with # are skipped. The file is read again when it has
	// changed. Empty: no token is needed, and Addr must be a loopback address.
	TokenFile string
	// PublishRate is how many messages in a second each token may publish (POST /api/v1/publish), and
	// at once as many, or a batch of 1,000. Without tokens it is for all requests together. Defaults
	// to 1,000. Negative means any number.
	PublishRate int
	// TLS makes the listener speak TLS. Nil: plain HTTP.
	TLS *tls.Config
	// Drain starts the end of the gateway, as a SIGTERM does. Nil: POST /api/v1/drain gets status
	// 501.
	Drain func()
	// Reload reads the configuration again, as a SIGHUP does. Nil: POST /api/v1/reload gets status
	// 501.
	Reload func(context.Context) error
	// LogLevel is the level of the log that PUT /api/v1/log-level changes. Nil: status 501.
	LogLevel *slog.LevelVar
	// Stats keeps the statistics that the API shows. Nil: requests for them get status 501, and
	// StatsTo, if it is not empty, is the URL of the node that keeps them.
	Stats   *keep.Keeper
	StatsTo string
	// Alerts are checked with Stats. Nil: requests for them get status 501.
	Alerts *alert.Alerts
	// Collectors are further metrics, of a worker in the same process for example.
	Collectors []prometheus.Collector
	// Version is what runs, for the status and the metric sluice_build_info.
	Version string
	// Logger gets a line for each change that has failed, and for mistakes in the files. Defaults to
	// slog.Default().
	Logger *slog.Logger
	// Audit gets a line for each change that a request has made: message "admin change", level info.
	// The messages "admin login" and "admin logout" are of the dashboard. It should leave none out.
	// Defaults to Logger.
	Audit *slog.Logger
}

// Server is the admin listener of one gateway.
type Server struct {
	// Static after New.
	cfg      Config
	control  *gateway.Control
	guard    *guard
	listener net.Listener
	http     *http.Server
	started  time.Time

	publishing *publishing
}

// New listens on the address, so that an error of it is known before the gateway runs. Run serves.
func New(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.PublishRate = cmp.Or(cfg.PublishRate, defaultPublishRate)
	cfg.Audit = cmp.Or(cfg.Audit, cfg.Logger)
	s := &Server{cfg: cfg, control: cfg.Gateway.Control(), started: time.Now()}
	var t *tokens
	if cfg.TokenFile != "" {
		var err error
		if t, err = readTokens(cfg.TokenFile, cfg.PublishRate, cfg.Logger); err != nil {
			return nil, fmt.Errorf("admin: token file: %w", err)
		}
	}
	inner, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if t == nil && !isLoopback(inner.Addr()) {
		_ = inner.Close()
		return nil, ErrExposed
	}
	nobody := caller{"none", full(), newUsage(cfg.PublishRate)}
	s.guard = newGuard(t, newSessions(inner.Addr(), cfg.TLS != nil), nobody, cfg.Logger)
	s.publishing = &publishing{
		control: s.control, guard: s.guard, rate: cfg.PublishRate, audit: s.audit, keys: newKeys(),
	}
	handler, err := newHandler(s)
	if err != nil {
		_ = inner.Close()
		return nil, fmt.Errorf("admin: metrics: %w", err)
	}
	s.listener = limitConns(inner, maxConns)
	s.http = &http.Server{
		Handler: handler, TLSConfig: cfg.TLS, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Addr returns the host:port that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends, and then for a second for requests that are being answered. It returns
// nil then.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() {
		if s.cfg.TLS != nil {
			ended <- s.http.ServeTLS(s.listener, "", "")
		} else {
			ended <- s.http.Serve(s.listener)
		}
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.http.Shutdown(last) != nil {
		_ = s.http.Close()
	}
	<-ended //nolint:errcheck // it is that the server was closed
	return nil
}

// Close closes the listener of a Server that does not run.
func (s *Server) Close() error { return s.listener.Close() }

// Exposed reports whether an address to listen on is not that of this machine only, as far as this
// can be told without resolving a name. New refuses it without tokens.
func Exposed(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false // it is not an address
	}
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && !ip.IsLoopback()
}

// isLoopback reports whether an address that is listened on can be reached from this machine only.
func isLoopback(a net.Addr) bool {
	addr, err := netip.ParseAddrPort(a.String())
	return err == nil && addr.Addr().IsLoopback()
}
