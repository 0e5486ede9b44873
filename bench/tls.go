package bench

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS says which certificates of a target with the scheme wss or tls are accepted. The zero value
// uses the certificates of the system.
type TLS struct {
	Insecure   bool   `json:"insecure,omitempty"`    // accept any certificate
	CA         string `json:"ca,omitempty"`          // file of trusted certificates, PEM, instead of the system's
	ServerName string `json:"server_name,omitempty"` // to send and to verify. Defaults to the target's host.
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: t.Insecure, ServerName: t.ServerName, MinVersion: tls.VersionTLS12,
		DynamicRecordSizingDisabled: true}
	if t.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, err
	}
	if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s contains no certificate", t.CA)
	}
	return c, nil
}
