// Package certs makes TLS configurations from files, and reads the files again when they change.
//
// A Source has certificates and keys, and optionally keys of session tickets and the certificates
// of an authority. The configurations of Config and Client always use what was loaded last, so that
// a new certificate needs no restart and breaks no connection. A file that cannot be used is
// reported, and what was loaded before stays in use.
package certs

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Pair names the two PEM files of a certificate. Cert has the certificate and those of its chain,
// Key has the private key. They may be the same file.
type Pair struct{ Cert, Key string }

// Options says which files a Source has.
type Options struct {
	// Pairs are the certificates. A handshake uses the first one that has the name that the client
	// asks for (SNI, RFC 6066 section 3) and that the client supports, or else the first one.
	Pairs []Pair
	// TicketKeys is a file of keys of session tickets (RFC 8446 section 4.6.1): one key in each
	// line, as 64 hexadecimal digits. The first one encrypts new tickets, the others decrypt older
	// ones. Servers with the same keys resume each other's sessions. Empty means keys that each
	// Source makes and replaces by itself.
	TicketKeys string
	// CA is a file of certificates of authorities, PEM. If it is set, a peer must have a
	// certificate signed by one of them. Empty means that a client needs no certificate, and that
	// servers are verified with the certificates of the system.
	CA string
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Source is a set of certificates in files. All its methods may be called by any goroutine.
type Source struct {
	log *slog.Logger // static

	loaded atomic.Pointer[material]

	mu      sync.Mutex // held while files are read
	options Options    // guarded by mu
	seen    []file     // guarded by mu: the files at the last load, successful or not
	pending []file     // guarded by mu: other files that the last poll found; nil: none
}

// material is what was read from the files. It is never changed.
type material struct {
	server *tls.Config // what a handshake uses
	certs  []tls.Certificate
	roots  *x509.CertPool // nil: those of the system
}

// New reads the files. The error says which file is wrong and why.
func New(o Options) (*Source, error) {
	s := &Source{options: o, log: cmp.Or(o.Logger, slog.Default())}
	s.seen = o.stat()
	m, err := o.load()
	if err != nil {
		return nil, err
	}
	s.loaded.Store(m)
	now := time.Now()
	for i := range m.certs {
		if err := current(&m.certs[i], now); err != nil { // clients may accept it, so the server starts
			s.log.Warn("certificate is not valid now", "file", o.Pairs[i].Cert, "err", err)
		}
	}
	return s, nil
}

// Config returns a configuration for servers: TLS 1.2 and later, the cipher suites of package
// crypto/tls, and the protocol http/1.1 for clients that offer protocols (ALPN, RFC 7301). Each
// handshake uses the files as loaded last. Each call returns a new Config. Without a file of ticket
// keys it has keys of its own, which package crypto/tls replaces every day.
func (s *Source) Config() *tls.Config {
	c := s.loaded.Load().server.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return s.loaded.Load().server, nil
	}
	return c
}

// Client returns a configuration for clients that have the first certificate of the Source, for
// servers that ask for one. The servers are verified with Options.CA as loaded when Client was
// called; the certificate is that loaded last.
func (s *Source) Client() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		RootCAs:    s.loaded.Load().roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if certs := s.loaded.Load().certs; len(certs) > 0 {
				return &certs[0], nil
			}
			return &tls.Certificate{}, nil // none: the server decides
		},
	}
}

// NotAfter returns the time at which the first of the certificates in use expires. It is zero if
// there are none.
func (s *Source) NotAfter() (first time.Time) {
	for _, c := range s.loaded.Load().certs {
		if first.IsZero() || c.Leaf.NotAfter.Before(first) {
			first = c.Leaf.NotAfter
		}
	}
	return first
}

// Reload reads the files again. If one cannot be used, or a new certificate is not valid now, it
// returns an error and everything loaded before stays in use. It logs the result.
func (s *Source) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.pending = s.options.stat(), nil
	next, err := s.prepare(&s.options)
	if err != nil {
		s.refuse(err)
		return err
	}
	s.use(next)
	return nil
}

func (s *Source) refuse(err error) {
	s.log.Error("certificates not reloaded, the previous ones stay in use", "err", err)
}

// Prepare reads the files of other options, and returns a function that puts them in the place of
// those in use. If one of them cannot be used, or a new certificate is not valid now, it returns an
// error, which it logs. Logger is ignored.
func (s *Source) Prepare(o Options) (apply func(), err error) {
	seen := o.stat()
	next, err := s.prepare(&o)
	if err != nil {
		s.refuse(err)
		return nil, err
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.options, s.seen, s.pending = o, seen, nil
		s.use(next)
	}, nil
}

// prepare reads files. It refuses certificates that are not in use and that are not valid now.
func (s *Source) prepare(o *Options) (*material, error) {
	next, err := o.load()
	if err != nil {
		return nil, err
	}
	now, used := time.Now(), s.loaded.Load().certs
	for i := range next.certs {
		same := func(c tls.Certificate) bool { return c.Leaf.Equal(next.certs[i].Leaf) }
		if slices.ContainsFunc(used, same) {
			continue
		}
		if err := current(&next.certs[i], now); err != nil {
			return nil, fmt.Errorf("certs: %s: %w", o.Pairs[i].Cert, err)
		}
	}
	return next, nil
}

// use puts what was read into effect. Called with mu.
func (s *Source) use(next *material) {
	s.loaded.Store(next)
	s.log.Info("certificates reloaded", "files", s.options.files(), "expires", s.NotAfter())
}

// current returns an error if a certificate is not valid at a time.
func current(c *tls.Certificate, now time.Time) error {
	switch {
	case now.After(c.Leaf.NotAfter):
		return fmt.Errorf("the certificate has expired on %s", c.Leaf.NotAfter.Format(time.RFC3339))
	case now.Before(c.Leaf.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", c.Leaf.NotBefore.Format(time.RFC3339))
	}
	return nil
}

// files returns the names of the files, without those of private keys.
func (o *Options) files() string {
	var names []string
	for _, p := range o.Pairs {
		names = append(names, p.Cert)
	}
	for _, name := range []string{o.TicketKeys, o.CA} {
		if name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// load reads all files.
func (o *Options) load() (*material, error) {
	m := &material{}
	for _, p := range o.Pairs {
		c, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			return nil, p.explain(err)
		}
		m.certs = append(m.certs, c)
	}
	server := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: m.certs,
		DynamicRecordSizingDisabled: true, // what is sent at a time is one record, as far as it fits
	}
	if o.TicketKeys != "" {
		keys, err := readTicketKeys(o.TicketKeys)
		if err != nil {
			return nil, fmt.Errorf("certs: %s: %w", o.TicketKeys, err)
		}
		server.SetSessionTicketKeys(keys)
	}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("certs: %w", err)
		}
		if m.roots = x509.NewCertPool(); !m.roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certs: %s: contains no certificate in PEM", o.CA)
		}
		server.ClientCAs, server.ClientAuth = m.roots, tls.RequireAndVerifyClientCert
	}
	m.server = server
	return m, nil
}

// explain says which of the files is wrong.
func (p *Pair) explain(err error) error {
	if pathError, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("certs: %w", pathError)
	}
	return fmt.Errorf("certs: %s and %s: %w", p.Cert, p.Key, err)
}
