package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/directory"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/valid"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/discover"
)

// engineOptions are the flags about what gateways and workers share, and the connection to it.
type engineOptions struct {
	directory.Config
	open *directory.Directory // nil: not open, or there is none
}

// flags of engineOptions.
var engineFlags = []string{"engine", "engine-prefix", "engine-password-file", "engine-ca"}

func (e *engineOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&e.URL, "engine", "",
		"`URL` of the Redis in which gateways and workers find each other: redis://HOST:PORT, "+
			"redis+sentinel://HOST,HOST/NAME or redis+cluster://HOST,HOST, with TLS rediss, rediss+sentinel "+
			"and rediss+cluster (default: none)")
	f.StringVar(&e.Prefix, "engine-prefix", "sluice",
		"`prefix` of the keys in --engine; gateways and workers with the same one belong together")
	f.StringVar(&e.PasswordFile, "engine-password-file", "",
		"`file` with the password of --engine; the user, if there is one, is in the URL")
	f.StringVar(&e.CAFile, "engine-ca", "",
		"`file` with the certificates of the authority that signs that of --engine, PEM (default: the system's)")
}

// given reports whether there is a directory.
func (e *engineOptions) given() bool { return e.URL != "" }

// check checks the flags of a command.
func (e *engineOptions) check(o *options, f *pflag.FlagSet) error {
	if !e.given() {
		for _, name := range engineFlags[1:] {
			if flag := f.Lookup(name); flag != nil && flag.Value.String() != flag.DefValue {
				return usageError{fmt.Errorf("--%s: needs --engine", name)}
			}
		}
		return nil
	}
	if err := e.Check(); err != nil {
		flag := "engine"
		if bad, ok := errors.AsType[*fs.PathError](err); ok {
			flag = map[string]string{e.CAFile: "engine-ca", e.PasswordFile: "engine-password-file"}[bad.Path]
		}
		return usageError{fmt.Errorf("--%s: %w", flag, errors.Unwrap(err))}
	}
	if o.worker {
		return nil
	}
	if addr := o.gateway.Advertise; addr != "" {
		if err := valid.Dialable(addr); err != nil {
			return usageError{fmt.Errorf("--advertise: %w", err)}
		}
	} else if inner := o.gateway.WorkerAddr; valid.HostPort(inner) == nil && valid.Dialable(inner) != nil {
		return usageError{fmt.Errorf(
			"--advertise: must be set with --engine, because others cannot connect to --inner %s", inner)}
	}
	return nil
}

// connect connects to the directory, if there is one. The caller calls close.
func (e *engineOptions) connect(log *slog.Logger) (err error) {
	if !e.given() {
		return nil
	}
	cfg := e.Config
	cfg.Logger = log
	if e.open, err = directory.Open(cfg); err != nil {
		return usageError{fmt.Errorf("--engine: %w", err)}
	}
	return nil
}

func (e *engineOptions) close() {
	if e.open != nil {
		e.open.Close()
	}
}

// use makes a gateway register in the directory, if there is one.
func (e *engineOptions) use(cfg *gateway.Config, log *slog.Logger) {
	if e.open == nil {
		return
	}
	cfg.Directory = e.open
	if addr := cmp.Or(cfg.Advertise, cfg.WorkerAddr); leadsHere(addr) && !leadsHere(e.host()) {
		log.Warn("only workers on this machine can connect to the address in the directory",
			"addr", addr, "fix", "--inner and --advertise with an address that others can connect to")
	}
}

// leadsHere reports whether the host of an address, or the first of several, is this machine.
func leadsHere(addr string) bool {
	addr, _, _ = strings.Cut(addr, ",")
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	return isLoopback(host)
}

// host returns the hosts in the URL.
func (e *engineOptions) host() string {
	_, host, _ := strings.Cut(e.URL, "://")
	host, _, _ = strings.Cut(host, "/")
	return host[strings.LastIndexByte(host, '@')+1:]
}

// gatewayNames returns what the ready line of a worker says about where its gateways are.
func gatewayNames(o *options) (names []string) {
	for _, addr := range o.gateways {
		if !discover.IsURL(addr) {
			addr = "gateway://" + addr
		}
		names = append(names, addr)
	}
	if o.engine.given() {
		names = append(names, "engine://"+o.engine.host())
	}
	return names
}

// checkGateways checks --gateway. Its default has no effect beside --engine.
func checkGateways(o *options, f *pflag.FlagSet) error {
	flag := f.Lookup("gateway")
	if o.own.local != "" {
		o.gateways = nil
	}
	if o.engine.given() && !o.config.onCommandLine(f, "gateway") && flag.Value.String() == flag.DefValue {
		o.gateways = nil
	}
	if urls := nameURLs(o.gateways); len(urls) > 0 {
		if o.engine.given() {
			return usageError{fmt.Errorf("--gateway: %q: gateways are found by --engine", urls[0])}
		}
		if _, err := byDNS(urls, o.log); err != nil {
			return err
		}
	}
	for _, addr := range o.gateways {
		if err := valid.HostPort(addr); err != nil && !discover.IsURL(addr) {
			return usageError{fmt.Errorf("--gateway: %w (workers connect to a gateway's --inner address, not to --listen)", err)}
		}
	}
	return nil
}

// nameURLs returns those of the values of --gateway that are URLs of names.
func nameURLs(addrs []string) []string {
	return slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return !discover.IsURL(a) })
}

func byDNS(urls []string, log *slog.Logger) (*discover.DNS, error) {
	d, err := discover.NewDNS(discover.DNSConfig{URLs: urls, Logger: log})
	if err != nil {
		return nil, usageError{fmt.Errorf("--gateway: %w", errors.Unwrap(err))}
	}
	return d, nil
}

// findGateways tells a worker where its gateways are: at these values of --gateway, and where the
// directory says.
func findGateways(o *options, cfg *worker.Config, addrs []string) error {
	cfg.Gateways = slices.DeleteFunc(slices.Clone(addrs), discover.IsURL)
	if urls := nameURLs(addrs); len(urls) > 0 {
		d, err := byDNS(urls, o.log)
		if err != nil {
			return err
		}
		cfg.Discover = d
		return nil
	}
	if o.engine.given() {
		r := withOwn{own: o.own} // it is not used when a configuration is only checked
		if o.engine.open != nil {
			r.Resolver = o.engine.open.Gateways()
		}
		cfg.Discover = r
		cfg.Gateways = slices.DeleteFunc(cfg.Gateways, func(a string) bool { return a == o.own.local })
	}
	return nil
}

// ownGateway is the gateway that a worker belongs to: it is in the same process or in the parent's.
type ownGateway struct {
	local  string // address where the worker dials it; empty: there is none
	listed string // its address in the directory
}

// String implements pflag.Value.
func (g *ownGateway) String() string {
	if g.local == "" {
		return ""
	}
	return g.local + "," + g.listed
}

// Set implements pflag.Value.
func (g *ownGateway) Set(text string) (err error) {
	g.local, g.listed, _ = strings.Cut(text, ",")
	return valid.HostPort(g.local)
}

// Type implements pflag.Value.
func (g *ownGateway) Type() string { return "string" }

// withOwn lists the gateways of a directory. The worker's own one is always there. It has its local
// address and the place that it has for all workers, because the order says which one Invoke calls.
type withOwn struct {
	worker.Resolver
	own ownGateway
}

// ownAlone is how long a worker waits for the directory before it serves its own gateway alone.
const ownAlone = 2 * time.Second

// Watch implements worker.Resolver.
func (r withOwn) Watch(ctx context.Context, set func(addrs []string)) {
	if r.own.local == "" {
		r.Resolver.Watch(ctx, set)
		return
	}
	lists := make(chan []string)
	go func() {
		defer close(lists)
		r.Resolver.Watch(ctx, func(addrs []string) { lists <- addrs })
	}()
	alone := time.NewTimer(ownAlone)
	defer alone.Stop()
	for {
		select {
		case addrs, ok := <-lists:
			if !ok {
				return
			}
			alone.Stop()
			set(r.own.in(addrs))
		case <-alone.C:
			set(r.own.in(nil))
		}
	}
}

// in returns the list with the own gateway at its place, or at the end if it is not listed.
func (g *ownGateway) in(addrs []string) []string {
	at := slices.Index(addrs, g.listed)
	if at < 0 {
		return append(addrs, g.local)
	}
	addrs[at] = g.local
	return addrs
}

// advertised returns the address by which others find the gateway in this process.
func advertised(o *options, g *gateway.Gateway) string {
	if o.gateway.Advertise != "" {
		return o.gateway.Advertise
	}
	host, _, _ := net.SplitHostPort(o.gateway.WorkerAddr)
	_, port, _ := net.SplitHostPort(g.WorkerAddr())
	return net.JoinHostPort(host, port)
}
