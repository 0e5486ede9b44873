package redisdir

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/redisurl"
)

// option returns the options of a client. It reads the files anew.
func (c *Config) option(t redisurl.Target) (rueidis.ClientOption, error) {
	if c.PasswordFile != "" {
		text, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return rueidis.ClientOption{}, err
		}
		t.Password = strings.TrimRight(string(text), "\r\n")
	}
	certificates := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.TLS && c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return rueidis.ClientOption{}, err
		}
		certificates.RootCAs = x509.NewCertPool()
		if !certificates.RootCAs.AppendCertsFromPEM(text) {
			return rueidis.ClientOption{}, fmt.Errorf("%s: no certificate in it", c.CAFile)
		}
	}
	return t.Option(c.Timeout, certificates), nil
}
