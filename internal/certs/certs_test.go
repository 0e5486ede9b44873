package certs_test

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/internal/certs"
	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
)

// kit is a Source with the files of one certificate.
type kit struct {
	*certs.Source
	authority *certstest.Authority
	cert, key string
	log       bytes.Buffer
}

func newKit(t *testing.T, o certs.Options) *kit {
	t.Helper()
	k := &kit{authority: certstest.New(t)}
	k.cert, k.key, _ = k.authority.Files(t, "one.test")
	o.Pairs = append([]certs.Pair{{Cert: k.cert, Key: k.key}}, o.Pairs...)
	o.Logger = slog.New(slog.NewTextHandler(&k.log, nil))
	s, err := certs.New(o)
	if err != nil {
		t.Fatal(err)
	}
	k.Source = s
	return k
}

// replace writes a new certificate for name to the files.
func (k *kit) replace(t *testing.T, name string) {
	t.Helper()
	cert, key := k.authority.Issue(t, name)
	certstest.Write(t, k.cert, cert)
	certstest.Write(t, k.key, key)
}

// handshake connects a client to a server and returns what the client knows afterwards. The server
// sends a byte, so that the client has read a session ticket.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		_, _ = tls.Server(far, server).Write([]byte("x"))
	}()
	c := tls.Client(near, client)
	_, err := c.Read(make([]byte, 1))
	_ = near.Close()
	<-done
	return c.ConnectionState(), err
}

// served returns the first name of the certificate that a client gets.
func (k *kit) served(t *testing.T, server *tls.Config, name string) string {
	t.Helper()
	state, err := handshake(t, server, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].DNSNames[0]
}

func TestReload(t *testing.T) {
	t.Parallel()
	k := newKit(t, certs.Options{})
	server := k.Config()
	k.replace(t, "two.test")
	if got := k.served(t, server, ""); got != "one.test" {
		t.Errorf("before Reload: %s", got)
	}
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := k.served(t, server, ""); got != "two.test" {
		t.Errorf("after Reload: %s", got)
	}
}

// What cannot be used is refused, the previous certificate is kept, and the log says so.
func TestReloadRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, k *kit)
		says  string
	}{
		"no certificate": {func(t *testing.T, k *kit) { certstest.Write(t, k.cert, []byte("nonsense")) }, "cert.pem"},
		"no file":        {func(t *testing.T, k *kit) { _ = os.Remove(k.key) }, "no such file"},
		"another key": {func(t *testing.T, k *kit) {
			cert, _ := k.authority.Issue(t, "two.test")
			certstest.Write(t, k.cert, cert)
		}, "private key does not match public key"},
		"expired": {func(t *testing.T, k *kit) {
			cert, key := k.authority.IssueUntil(t, time.Now().Add(-time.Minute), "two.test")
			certstest.Write(t, k.cert, cert)
			certstest.Write(t, k.key, key)
		}, "has expired on"},
		"not yet valid": {func(t *testing.T, k *kit) {
			cert, key := k.authority.IssueUntil(t, time.Now().Add(72*time.Hour), "two.test")
			certstest.Write(t, k.cert, cert)
			certstest.Write(t, k.key, key)
		}, "is not valid before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, certs.Options{})
			server := k.Config()
			c.spoil(t, k)
			err := k.Reload()
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
			if log := k.log.String(); !strings.Contains(log, "not reloaded") || !strings.Contains(log, c.says) {
				t.Errorf("log %q", log)
			}
			if got := k.served(t, server, ""); got != "one.test" {
				t.Errorf("served %s, want the previous certificate", got)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	a := certstest.New(t)
	cert, key, ca := a.Files(t, "one.test")
	bad := filepath.Join(t.TempDir(), "bad")
	secret := strings.Repeat("ab", 31)
	certstest.Write(t, bad, []byte("# keys\n\n"+secret+"zz\n"))
	for name, c := range map[string]struct {
		options certs.Options
		says    string
	}{
		"swapped":         {certs.Options{Pairs: []certs.Pair{{Cert: key, Key: cert}}}, "key.pem and"},
		"no certificate":  {certs.Options{Pairs: []certs.Pair{{Cert: "missing", Key: key}}}, "open missing: no such file"},
		"no authority":    {certs.Options{CA: key}, "contains no certificate"},
		"bad ticket key":  {certs.Options{TicketKeys: bad}, "line 3: a key has hexadecimal digits only"},
		"no ticket keys":  {certs.Options{TicketKeys: "/dev/null"}, "0 keys: must have between 1 and 64"},
		"long ticket key": {certs.Options{TicketKeys: ca}, "line 1: 27 characters: a key has 64"},
	} {
		_, err := certs.New(c.options)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v, want an error that says %q", name, err, c.says)
		}
	}
}

// Other files replace those in use, all at once.
func TestPrepare(t *testing.T) {
	t.Parallel()
	k := newKit(t, certs.Options{})
	server := k.Config()
	cert, key, _ := k.authority.Files(t, "two.test")
	if _, err := k.Prepare(certs.Options{Pairs: []certs.Pair{{Cert: cert, Key: k.key}}}); err == nil {
		t.Error("a certificate with the key of another one was accepted")
	}
	apply, err := k.Prepare(certs.Options{Pairs: []certs.Pair{{Cert: cert, Key: key}, {Cert: k.cert, Key: k.key}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := k.served(t, server, ""); got != "one.test" {
		t.Errorf("before apply: %s", got)
	}
	apply()
	if got := k.served(t, server, ""); got != "two.test" {
		t.Errorf("after apply: %s", got)
	}
	k.replace(t, "three.test")
	k.Poll()
	if !k.Poll() || k.served(t, server, "three.test") != "three.test" {
		t.Error("the files in use are not watched")
	}
}

// A client gets the certificate of the name that it asks for, and the first one for any other name.
func TestNames(t *testing.T) {
	t.Parallel()
	other := certstest.New(t)
	cert, key, _ := other.Files(t, "*.other.test", "deep.test")
	k := newKit(t, certs.Options{Pairs: []certs.Pair{{Cert: cert, Key: key}}})
	for ask, want := range map[string]string{
		"one.test": "one.test", "a.other.test": "*.other.test", "deep.test": "*.other.test", "DEEP.test": "*.other.test",
		"unknown.test": "one.test", "": "one.test",
	} {
		if got := k.served(t, k.Config(), ask); got != want {
			t.Errorf("%q: %s, want %s", ask, got, want)
		}
	}
}

func TestVersionsAndProtocols(t *testing.T) {
	t.Parallel()
	k := newKit(t, certs.Options{})
	try := func(c *tls.Config) (tls.ConnectionState, error) {
		c.InsecureSkipVerify = true
		return handshake(t, k.Config(), c)
	}
	if _, err := try(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if s, err := try(&tls.Config{MaxVersion: tls.VersionTLS12}); err != nil || s.Version != tls.VersionTLS12 {
		t.Errorf("TLS 1.2: %x, %v", s.Version, err)
	}
	s, err := try(&tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	if err != nil || s.NegotiatedProtocol != "http/1.1" {
		t.Errorf("h2 and http/1.1: %q, %v", s.NegotiatedProtocol, err)
	}
	if _, err := try(&tls.Config{NextProtos: []string{"h2"}}); err == nil {
		t.Error("a client that has h2 only was accepted")
	}
}

// Sessions are resumed by another Source with the same ticket keys, also after a rotation, and not
// by one with other keys.
func TestTicketKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tickets")
	first, second := strings.Repeat("01", 32), strings.Repeat("02", 32)
	certstest.Write(t, file, []byte(first+"\n"))
	one, two := newKit(t, certs.Options{TicketKeys: file}), newKit(t, certs.Options{TicketKeys: file})
	alone := newKit(t, certs.Options{})
	client := &tls.Config{
		InsecureSkipVerify: true, ServerName: "one.test", ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	connect := func(k *kit) bool {
		t.Helper()
		state, err := handshake(t, k.Config(), client)
		if err != nil {
			t.Fatal(err)
		}
		return state.DidResume
	}
	if connect(one) {
		t.Error("the first session was resumed")
	}
	if !connect(two) {
		t.Error("the other Source has not resumed the session")
	}
	certstest.Write(t, file, []byte(second+"\n"+first+"\n"))
	if err := one.Reload(); err != nil {
		t.Fatal(err)
	}
	if !connect(one) {
		t.Error("a session of the older key was not resumed")
	}
	if connect(two) { // its ticket is of the new key, which two has not read
		t.Error("a session of an unknown key was resumed")
	}
	connect(one)
	if connect(alone) {
		t.Error("a Source with keys of its own has resumed another's session")
	}
}

// Without a file of ticket keys a reload does not end the sessions.
func TestTicketsOutliveReload(t *testing.T) {
	t.Parallel()
	k := newKit(t, certs.Options{})
	server := k.Config()
	client := &tls.Config{
		InsecureSkipVerify: true, ServerName: "one.test", ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	for i := range 3 {
		state, err := handshake(t, server, client)
		if err != nil || state.DidResume != (i > 0) {
			t.Errorf("connection %d: resumed %v, %v", i, state.DidResume, err)
		}
		k.replace(t, "one.test")
		if err := k.Reload(); err != nil {
			t.Fatal(err)
		}
	}
}

// With a CA both sides need a certificate that it has signed.
func TestMutual(t *testing.T) {
	t.Parallel()
	a, stranger := certstest.New(t), certstest.New(t)
	source := func(from *certstest.Authority, ca string) *certs.Source {
		cert, key, own := from.Files(t, "one.test")
		if ca == "" {
			ca = own
		}
		s, err := certs.New(certs.Options{Pairs: []certs.Pair{{Cert: cert, Key: key}}, CA: ca})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	_, _, ca := a.Files(t, "ca")
	server := source(a, "").Config()
	for name, c := range map[string]struct {
		client *certs.Source
		valid  bool
	}{
		"signed":    {source(a, ""), true},
		"unsigned":  {source(stranger, ca), false},
		"distrusts": {source(stranger, ""), false},
	} {
		client := c.client.Client()
		client.ServerName = "one.test"
		if _, err := handshake(t, server, client); (err == nil) != c.valid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A change is loaded at the second Poll that finds the same files, and a bad one is tried once.
func TestPoll(t *testing.T) {
	t.Parallel()
	k := newKit(t, certs.Options{})
	server := k.Config()
	polls := func(want ...bool) {
		t.Helper()
		for i, w := range want {
			if got := k.Poll(); got != w {
				t.Errorf("poll %d: %v, want %v", i, got, w)
			}
		}
	}
	polls(false, false)
	cert, key := k.authority.Issue(t, "two.test")
	certstest.Write(t, k.cert, cert)
	polls(false)
	certstest.Write(t, k.key, key) // the writer was not done
	polls(false, true, false)
	if got := k.served(t, server, ""); got != "two.test" {
		t.Errorf("served %s", got)
	}
	certstest.Write(t, k.key, []byte("nonsense"))
	polls(false, true, false, false)
	if got := k.served(t, server, ""); got != "two.test" {
		t.Errorf("served %s", got)
	}
	if n := strings.Count(k.log.String(), "not reloaded"); n != 1 {
		t.Errorf("%d lines about one bad file", n)
	}
	_ = os.Remove(k.key)
	polls(false, true, false)
	k.replace(t, "three.test")
	polls(false, true, false)
	if got := k.served(t, server, ""); got != "three.test" {
		t.Errorf("served %s", got)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := certstest.New(t) // its certificates are of the bubble's time
		cert, key, _ := a.Files(t, "one.test")
		s, err := certs.New(certs.Options{Pairs: []certs.Pair{{Cert: cert, Key: key}}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		go s.Watch(t.Context())
		before := s.NotAfter()
		certPEM, keyPEM := a.IssueUntil(t, before.Add(time.Hour), "one.test")
		certstest.Write(t, cert, certPEM)
		certstest.Write(t, key, keyPEM)
		time.Sleep(3 * certs.PollInterval) // of the bubble
		if got := s.NotAfter(); !got.After(before) {
			t.Errorf("expires %v, as before", got)
		}
	})
}

// A server of net/http uses the configuration as it is.
func TestHTTPServer(t *testing.T) {
	t.Parallel()
	k := newKit(t, certs.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: k.Config(), Handler: http.NotFoundHandler()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(ln, "", "")
	}()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: k.authority.Pool(), ServerName: "one.test"}}
	client := &http.Client{Transport: transport}
	response, err := client.Get("https://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Error(response.Status)
	}
	transport.CloseIdleConnections()
	_ = server.Close()
	<-done
}

func FuzzTicketKeys(f *testing.F) {
	f.Add([]byte(strings.Repeat("01", 32) + "\n# older\n" + strings.Repeat("02", 32)))
	f.Add([]byte("\n\r\n#"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "tickets")
		certstest.Write(t, file, text)
		_, err := certs.New(certs.Options{TicketKeys: file})
		if line := bytes.TrimSpace(text); err == nil && len(line) < hex.EncodedLen(32) {
			t.Errorf("%q has no key", text)
		}
	})
}
