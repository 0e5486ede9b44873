// Package certstest makes certificates for tests.
package certstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	PEM  []byte // its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an Authority.
func New(t testing.TB) *Authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "sluice test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := check(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return &Authority{
		PEM:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		cert: check(x509.ParseCertificate(der))(t), key: key,
	}
}

// Pool returns a pool with the certificate of the Authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Issue returns a certificate for servers and clients, and its key, both PEM. It is valid for a day
// and has the names, which may be IP addresses.
func (a *Authority) Issue(t testing.TB, names ...string) (cert, key []byte) {
	t.Helper()
	return a.IssueUntil(t, time.Now().Add(24*time.Hour), names...)
}

// IssueUntil is like Issue, for a certificate that expires at the given time.
func (a *Authority) IssueUntil(t testing.TB, end time.Time, names ...string) (cert, key []byte) {
	t.Helper()
	private := newKey(t)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: end.Add(-48 * time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der := check(x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key))(t)
	keyDER := check(x509.MarshalPKCS8PrivateKey(private))(t)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// Pair is Issue for a test that needs no files.
func (a *Authority) Pair(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	return check(tls.X509KeyPair(a.Issue(t, names...)))(t)
}

// Files writes what Issue returns, and the certificate of the Authority, to a folder of the test.
func (a *Authority) Files(t testing.TB, names ...string) (cert, key, ca string) {
	t.Helper()
	folder := t.TempDir()
	certPEM, keyPEM := a.Issue(t, names...)
	cert, key, ca = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"), filepath.Join(folder, "ca.pem")
	Write(t, cert, certPEM)
	Write(t, key, keyPEM)
	Write(t, ca, a.PEM)
	return cert, key, ca
}

// Write writes a file.
func Write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return check(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	return check(rand.Int(rand.Reader, big.NewInt(1<<62)))(t)
}

// check returns a function that returns v, and ends the test if err is not nil.
func check[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
