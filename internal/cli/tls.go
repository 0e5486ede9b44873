package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/certs"
)

// tlsOptions are the flags about TLS, and what was read from their files.
type tlsOptions struct {
	certs, keys []string
	ticketKeys  string
	link        certs.Pair
	linkCA      string
	linkName    string
	unread      bool // the files of listeners had an error that config check has noted

	clients *certs.Source // of listeners; nil: there are no certificates, or no listeners
	links   *certs.Source // nil: links have no TLS
}

// clientFlags adds the flags about TLS of clients.
func (t *tlsOptions) clientFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&t.certs, "tls-cert", nil,
		"`file` with the certificate of wss and tls+... listeners and those of its chain, PEM; "+
			"repeatable: a client gets the first one that has the name that it asks for, or else the first one")
	f.StringArrayVar(&t.keys, "tls-key", nil,
		"`file` with the private key of a --tls-cert; repeatable, in the same order")
	f.StringVar(&t.ticketKeys, "tls-ticket-keys", "",
		"`file` with keys of session tickets, 64 hexadecimal digits in each line, that all gateways share; "+
			"the first one encrypts (default: random keys, so that sessions end with the process)")
}

// linkFlags adds the flags about TLS of links.
func (t *tlsOptions) linkFlags(f *pflag.FlagSet) {
	f.StringVar(&t.link.Cert, "link-tls-cert", "",
		"`file` with this process's certificate for links, PEM: links between gateways and workers then "+
			"have TLS on both sides, besides --key-file")
	f.StringVar(&t.link.Key, "link-tls-key", "", "`file` with its private key")
	f.StringVar(&t.linkCA, "link-tls-ca", "", "`file` with the certificates of the authority that signs those of links")
	f.StringVar(&t.linkName, "link-tls-name", "",
		"`name` that the certificates of gateways must have (default: the host of the address that is dialled)")
}

// given reports whether the flags name certificates, so that SIGHUP reads them again.
func (t *tlsOptions) given() bool { return len(t.certs) > 0 || t.link.Cert != "" }

// clientFiles returns the files of listeners.
func (t *tlsOptions) clientFiles() certs.Options {
	files := certs.Options{TicketKeys: t.ticketKeys}
	for i, cert := range t.certs {
		files.Pairs = append(files.Pairs, certs.Pair{Cert: cert, Key: t.keys[i]})
	}
	return files
}

// linkFiles returns the files of links.
func (t *tlsOptions) linkFiles() certs.Options {
	return certs.Options{Pairs: []certs.Pair{t.link}, CA: t.linkCA}
}

// load checks the flags, and reads their files. A worker needs no files of listeners: its process
// may have the flags of the gateway that it belongs to, which goes on with its old certificates
// while the files are wrong.
func (t *tlsOptions) load(o *options) (err error) {
	switch {
	case len(t.certs) != len(t.keys):
		return usageError{fmt.Errorf("--tls-cert: given %d times, and --tls-key %d times: each certificate needs its key",
			len(t.certs), len(t.keys))}
	case len(t.certs) == 0 && t.ticketKeys != "":
		return usageError{errors.New("--tls-ticket-keys: needs --tls-cert and --tls-key")}
	case !allOrNone(t.link.Cert, t.link.Key, t.linkCA):
		return usageError{errors.New("--link-tls-cert: needs --link-tls-key and --link-tls-ca, and they need it")}
	case t.linkName != "" && t.linkCA == "":
		return usageError{errors.New("--link-tls-name: needs --link-tls-cert, --link-tls-key and --link-tls-ca")}
	}
	if len(t.certs) > 0 && !o.worker {
		files := t.clientFiles()
		secured := slices.DeleteFunc(slices.Clone(o.listen), func(url string) bool { return !isSecured(url) })
		files.Logger = o.log.With("listener", strings.Join(secured, " "))
		if t.clients, err = certs.New(files); err != nil {
			return fmt.Errorf("--tls-cert: %w", err)
		}
	}
	if t.linkCA != "" {
		files := t.linkFiles()
		files.Logger = o.log.With("listener", "links")
		if t.links, err = certs.New(files); err != nil {
			return fmt.Errorf("--link-tls-cert: %w", err)
		}
	}
	return nil
}

func allOrNone(texts ...string) bool {
	empty := 0
	for _, text := range texts {
		if text == "" {
			empty++
		}
	}
	return empty == 0 || empty == len(texts)
}

// keepTLS makes the files of certificates be read again when they change, and on SIGHUP, until ctx
// ends. A new configuration may name other files.
func keepTLS(ctx context.Context, o *options) {
	follow := func(s *certs.Source, files func(*tlsOptions) certs.Options, has func(*tlsOptions) bool, flags ...string) {
		if s == nil {
			return
		}
		go s.Watch(ctx)
		onReload(o, func(next *options) (func() error, error) {
			if !has(&next.tls) {
				return nil, fmt.Errorf("--%s: certificates cannot be removed without a restart", flags[0])
			}
			apply, err := s.Prepare(files(&next.tls))
			if err != nil {
				return nil, fmt.Errorf("--%s: %w", flags[0], err)
			}
			return func() error { apply(); return nil }, nil
		}, flags...)
	}
	follow(o.tls.clients, (*tlsOptions).clientFiles, func(t *tlsOptions) bool { return len(t.certs) > 0 },
		"tls-cert", "tls-key", "tls-ticket-keys")
	follow(o.tls.links, (*tlsOptions).linkFiles, func(t *tlsOptions) bool { return t.linkCA != "" },
		"link-tls-cert", "link-tls-key", "link-tls-ca")
}

// listenerConfig returns the configuration of a listener, or nil without certificates.
func (t *tlsOptions) listenerConfig() *tls.Config {
	switch {
	case t.clients != nil:
		return t.clients.Config()
	case t.unread:
		return &tls.Config{} //nolint:gosec // it is never used
	}
	return nil
}

// linkConfig returns the configuration of a gateway's links, or nil without TLS.
func (t *tlsOptions) linkConfig() *gateway.LinkTLS {
	if t.links == nil {
		return nil
	}
	client := t.links.Client()
	client.ServerName = t.linkName
	return &gateway.LinkTLS{Server: t.links.Config(), Client: client}
}

// webSocketURL returns a listener's URL without ws:// or wss://, and the scheme that browsers use
// for its pages. ok is false for a listener of another protocol.
func webSocketURL(url string) (rest, page string, ok bool) {
	if rest, ok = strings.CutPrefix(url, "ws://"); ok {
		return rest, "http", true
	}
	rest, ok = strings.CutPrefix(url, "wss://")
	return rest, "https", ok
}

// isSecured reports whether a listener's URL has TLS.
func isSecured(url string) bool {
	return strings.HasPrefix(url, "wss://") || strings.HasPrefix(url, "tls+")
}
