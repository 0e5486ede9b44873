package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
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

	clients *certs.Source // of listeners; nil: there are no certificates
	links   *certs.Source // nil: links have no TLS
}

// clientTLSFlags adds the flags about TLS of clients.
func clientTLSFlags(o *options, c *cobra.Command) {
	f, t := c.Flags(), &o.tls
	f.StringArrayVar(&t.certs, "tls-cert", nil,
		"`file` with the certificate of wss and tls+... listeners and those of its chain, PEM; "+
			"repeatable: a client gets the first one that has the name that it asks for, or else the first one")
	f.StringArrayVar(&t.keys, "tls-key", nil, "`file` with the private key of each --tls-cert, in the same order")
	f.StringVar(&t.ticketKeys, "tls-ticket-keys", "",
		"`file` with keys of session tickets, 64 hexadecimal digits in each line, that all gateways share; "+
			"the first one encrypts (default: random keys, so that sessions end with the process)")
}

// linkTLSFlags adds the flags about TLS of links.
func linkTLSFlags(o *options, c *cobra.Command) {
	f, t := c.Flags(), &o.tls
	f.StringVar(&t.link.Cert, "link-tls-cert", "",
		"`file` with this process's certificate for links, PEM: links between gateways and workers then "+
			"have TLS on both sides, besides --key-file")
	f.StringVar(&t.link.Key, "link-tls-key", "", "`file` with its private key")
	f.StringVar(&t.linkCA, "link-tls-ca", "", "`file` with the certificates of the authority that signs those of links")
	f.StringVar(&t.linkName, "link-tls-name", "",
		"`name` that the certificates of gateways must have (default: the host of the address that is dialled)")
}

// loadTLS reads the files of the flags. It does so once.
func loadTLS(o *options) error {
	t := &o.tls
	switch {
	case len(t.certs) != len(t.keys):
		return usageError{fmt.Errorf("--tls-cert is given %d times and --tls-key %d times: each certificate needs its key",
			len(t.certs), len(t.keys))}
	case len(t.certs) == 0 && t.ticketKeys != "":
		return usageError{errors.New("--tls-ticket-keys needs --tls-cert and --tls-key")}
	case !allOrNone(t.link.Cert, t.link.Key, t.linkCA):
		return usageError{errors.New("--link-tls-cert, --link-tls-key and --link-tls-ca need each other")}
	case t.linkName != "" && t.linkCA == "":
		return usageError{errors.New("--link-tls-name needs --link-tls-cert, --link-tls-key and --link-tls-ca")}
	}
	var err error
	if len(t.certs) > 0 && t.clients == nil {
		files := certs.Options{TicketKeys: t.ticketKeys, Logger: o.log}
		for i, cert := range t.certs {
			files.Pairs = append(files.Pairs, certs.Pair{Cert: cert, Key: t.keys[i]})
		}
		if t.clients, err = certs.New(files); err != nil {
			return fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
	}
	if t.linkCA != "" && t.links == nil {
		files := certs.Options{Pairs: []certs.Pair{t.link}, CA: t.linkCA, Logger: o.log}
		if t.links, err = certs.New(files); err != nil {
			return fmt.Errorf("--link-tls-cert, --link-tls-key, --link-tls-ca: %w", err)
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

// sources returns the certificates that were loaded.
func (t *tlsOptions) sources() (all []*certs.Source) {
	for _, s := range []*certs.Source{t.clients, t.links} {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// watchTLS reads the files of certificates again when they change, until ctx ends, and on SIGHUP.
func watchTLS(ctx context.Context, o *options) {
	for _, s := range o.tls.sources() {
		go s.Watch(ctx)
		onReload(o, func(*options) (func() error, error) { return s.Reload, nil })
	}
}

// hasTLS reports whether the command line names certificates, so that SIGHUP reloads them.
func hasTLS(f *pflag.FlagSet) bool { return f.Changed("tls-cert") || f.Changed("link-tls-cert") }

// linkTLS returns the configuration of a gateway's links, or nil without TLS.
func (t *tlsOptions) linkTLS() *gateway.LinkTLS {
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
