package e2e_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// secured is a gateway with TLS, whose certificate is of 127.0.0.1, and a mirror behind it.
type secured struct {
	*proctest.Process
	authority     *certstest.Authority
	cert, key, ca string // files
	web, text     string // addresses of wss and of tls+text
}

func startSecured(t *testing.T, bin string, flags ...string) *secured {
	t.Helper()
	s := &secured{authority: certstest.New(t)}
	s.cert, s.key, s.ca = s.authority.Files(t, "127.0.0.1")
	s.Process, _ = startMirror(t, bin, append([]string{
		"--listen", "wss://127.0.0.1:0?subprotocol=chat", "--listen", "tls+text://127.0.0.1:0",
		"--tls-cert", s.cert, "--tls-key", s.key,
	}, flags...)...)
	s.web, s.text = s.Addrs["wss"], s.Addrs["tls+text"]
	return s
}

// dial connects over TLS to the lines.
func (s *secured) dial(t *testing.T) *tls.Conn {
	t.Helper()
	raw := proctest.Dial(t, s.text)
	nc := tls.Client(raw, &tls.Config{RootCAs: s.authority.Pool(), ServerName: "127.0.0.1"})
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	return nc
}

// TestTLS connects TLS clients of others.
func TestTLS(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for name, test := range map[string]func(*testing.T, string){
		"WebSocket clients": testSecureTalk,
		"page":              testSecurePage,
		"openssl":           testOpenSSL,
		"curl":              testCurl,
		"programs":          testSecurePrograms,
		"certificates":      testCertificatesExchanged,
		"other files":       testOtherFiles,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, bin)
		})
	}
}

// testSecureTalk makes each WebSocket client talk as it does without TLS.
func testSecureTalk(t *testing.T, bin string) {
	s := startSecured(t, bin)
	for _, kind := range realClients {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var v visit
			if kind == "chromium" {
				call := fmt.Sprintf("talk(WebSocket, 'wss://%s')", s.web)
				v = promised[visit](t, openBrowser(t), "https://"+s.web+"/", call)
			} else {
				cmd := client(t, clientCommand(t, kind), "talk", "wss://"+s.web)
				cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+s.ca, "SSL_CERT_FILE="+s.ca)
				ran(t, cmd, &v)
			}
			checkVisit(t, v, s.web, false, false)
		})
	}
}

// testSecurePage lets two people chat on a page that was loaded over TLS.
func testSecurePage(t *testing.T, bin string) {
	browsertest.Path(t)
	cert, key, _ := certstest.New(t).Files(t, "127.0.0.1")
	p := proctest.Start(t, nil, bin, "chat", "--listen", "wss://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	chatInBrowser(t, "https://"+p.Addrs["wss"]+"/")
}

// step is a part of a dialogue with a program: what it gets, and what a line of its output then
// has.
type step struct{ say, await string }

// dialogue runs a program. Its standard input ends after the last step.
func dialogue(t *testing.T, cmd *exec.Cmd, steps ...step) (output string, err error) {
	t.Helper()
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if inErr != nil || outErr != nil {
		t.Fatal(inErr, outErr)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var read strings.Builder
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for _, s := range steps {
		_, _ = io.WriteString(in, s.say)
		for found := false; !found && lines.Scan(); {
			read.WriteString(lines.Text() + "\n")
			found = strings.Contains(lines.Text(), s.await)
		}
	}
	_ = in.Close()
	for lines.Scan() {
		read.WriteString(lines.Text() + "\n")
	}
	return read.String(), cmd.Wait()
}

// sClient is openssl s_client, connected to an address.
func (s *secured) sClient(t *testing.T, addr string, args ...string) *exec.Cmd {
	t.Helper()
	command := []string{need(t, "openssl"), "s_client", "-CAfile", s.ca, "-verify_return_error", "-connect", addr}
	return client(t, command, args...)
}

// testOpenSSL uses OpenSSL's client, and does what tests of TLS servers do: old versions, weak
// cipher suites, renegotiation, key updates, resumption.
func testOpenSSL(t *testing.T, bin string) {
	tickets := filepath.Join(t.TempDir(), "tickets")
	certstest.Write(t, tickets, []byte(strings.Repeat("01", 32)+"\n"))
	s := startSecured(t, bin, "--tls-ticket-keys", tickets)
	other := startSecured(t, bin, "--tls-ticket-keys", tickets)
	for name, c := range map[string]struct {
		args []string
		open bool
	}{
		"SSL 3 and TLS 1.0":  {[]string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, false},
		"TLS 1.1":            {[]string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, false},
		"TLS 1.2":            {[]string{"-tls1_2"}, true},
		"TLS 1.3":            {[]string{"-tls1_3"}, true},
		"no encryption":      {[]string{"-tls1_2", "-cipher", "NULL:@SECLEVEL=0"}, false},
		"no authentication":  {[]string{"-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"}, false},
		"no forward secrecy": {[]string{"-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"}, false},
		"CBC with SHA-256":   {[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"}, false},
		"ChaCha20":           {[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"}, true},
		"another name":       {[]string{"-verify_hostname", "other.test"}, false},
		"an unknown name":    {[]string{"-servername", "other.test"}, true},
		"its protocol":       {[]string{"-alpn", "http/1.1"}, true},
		"another protocol":   {[]string{"-alpn", "h2"}, false},
		"one of two":         {[]string{"-alpn", "h2,http/1.1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := dialogue(t, s.sClient(t, s.text, append(c.args, "-quiet", "-no_ign_eof")...), step{"hello\n", "hello"})
			if answered := strings.Contains("\n"+out, "\nhello\n"); answered != c.open || err == nil != c.open {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	t.Run("renegotiation", func(t *testing.T) {
		t.Parallel()
		out, _ := dialogue(t, s.sClient(t, s.text, "-tls1_2"), step{"R\n", "RENEGOTIATING"})
		if !strings.Contains(out, "alert unexpected message") && !strings.Contains(out, "no renegotiation") {
			t.Error(out)
		}
	})
	t.Run("key updates", func(t *testing.T) {
		t.Parallel()
		out, err := dialogue(t, s.sClient(t, s.text, "-tls1_3"), step{"K\n", "KEYUPDATE"}, step{"K\n", "KEYUPDATE"},
			step{"hello\n", "hello"})
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("resumption at another gateway", func(t *testing.T) {
		t.Parallel()
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			session := filepath.Join(t.TempDir(), "session")
			out, err := dialogue(t, s.sClient(t, s.text, version, "-sess_out", session), step{"hello\n", "hello"})
			if err != nil || !strings.Contains(out, "\nNew, ") {
				t.Errorf("%v\n%s", err, out)
			}
			again := other.sClient(t, other.text, version, "-sess_in", session)
			out, err = dialogue(t, again, step{"hello\n", "hello"})
			if err != nil || !strings.Contains(out, "\nReused, ") {
				t.Errorf("%s: %v\n%s", version, err, out)
			}
		}
	})
}

// testCurl requests the page, over TLS and without.
func testCurl(t *testing.T, bin string) {
	curl := need(t, "curl")
	s := startSecured(t, bin)
	for name, c := range map[string]struct {
		url, want string
		args      []string
	}{
		"TLS 1.2":           {"https://" + s.web + "/livez", "200 1.1", []string{"--tls-max", "1.2"}},
		"TLS 1.3":           {"https://" + s.web + "/", "200 1.1", []string{"--tlsv1.3"}},
		"HTTP/2 offered":    {"https://" + s.web + "/", "200 1.1", []string{"--http2"}},
		"without TLS":       {"http://" + s.web + "/", "400 1", nil},
		"TLS 1.1":           {"https://" + s.web + "/", "000 0", []string{"--tls-max", "1.1"}},
		"another authority": {"https://" + s.web + "/", "000 0", []string{"--cacert", os.DevNull}},
	} {
		args := append([]string{"-sS", "--noproxy", "*", "--cacert", s.ca, "-o", os.DevNull,
			"-w", "%{http_code} %{http_version}"}, append(c.args, c.url)...)
		if out, _ := client(t, []string{curl}, args...).Output(); string(out) != c.want { // its exit code says less
			t.Errorf("%s: %q, want %q", name, out, c.want)
		}
	}
}

// testSecurePrograms uses the TLS of Python and of Node.js, without WebSockets. Both end with
// close_notify and wait for the gateway's.
func testSecurePrograms(t *testing.T, bin string) {
	s := startSecured(t, bin)
	host, port, _ := net.SplitHostPort(s.text)
	const python = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[3])
c = context.wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[2]))), server_hostname=sys.argv[1])
lines = c.makefile("r")
for n in 1, 100, 20000, 500000:
    c.sendall(b"x" * n + b"\n")
    assert lines.readline() == "x" * n + "\n"
version = c.version()
c.unwrap().close()
print("ok", version)`
	const node = `
const tls = require('node:tls'), fs = require('node:fs')
const [host, port, ca] = process.argv.slice(1)
const c = tls.connect({ host, port, ca: fs.readFileSync(ca) }, () => c.end('one\ntwo\n'))
let all = ''
c.on('data', (d) => { all += d })
c.on('end', () => console.log(all === 'one\ntwo\n' ? 'ok ' + c.getProtocol() : all))`
	for name, command := range map[string][]string{
		"Python":  {need(t, "python3"), "-c", python},
		"Node.js": {need(t, "node"), "-e", node},
	} {
		out, err := client(t, command, host, port, s.ca).Output()
		if !strings.HasPrefix(string(out), "ok TLSv1.3") || err != nil {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// testCertificatesExchanged exchanges the certificate 100 times while clients connect and talk. No
// client is lost. Files that cannot be used change nothing.
func testCertificatesExchanged(t *testing.T, bin string) {
	s := startSecured(t, bin)
	const clients, times = 8, 100
	stop, talked := make(chan struct{}), make([]atomic.Int64, clients)
	var all sync.WaitGroup
	for i := range clients {
		old := s.dial(t)
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				fresh, err := tls.Dial("tcp", s.text, &tls.Config{RootCAs: s.authority.Pool()})
				if err != nil {
					t.Error(err)
					return
				}
				for _, nc := range []*tls.Conn{old, fresh} {
					if err := echoed(nc); err != nil {
						t.Error(err)
						return
					}
				}
				_ = fresh.Close()
				talked[i].Add(1)
			}
		})
	}
	serial := func() string {
		nc := s.dial(t)
		defer func() { _ = nc.Close() }()
		return nc.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	for n := range times {
		cert, key := s.authority.Issue(t, "127.0.0.1")
		certstest.Write(t, s.cert, cert)
		certstest.Write(t, s.key, key)
		s.Signal(syscall.SIGHUP)
		s.AwaitLog("certificates reloaded", n+1)
		now := serial()
		if now == before {
			t.Fatalf("exchange %d: a new connection gets the previous certificate", n)
		}
		before = now
	}
	certstest.Write(t, s.key, []byte("nonsense"))
	s.Signal(syscall.SIGHUP)
	s.AwaitLog("certificates not reloaded, the previous ones stay in use", 1)
	if serial() != before {
		t.Error("a bad file has changed the certificate")
	}
	close(stop)
	all.Wait()
	for i := range talked {
		if talked[i].Load() == 0 {
			t.Errorf("client %d has not talked", i)
		}
	}
}

// testOtherFiles names another certificate in a file with settings, and reloads that.
func testOtherFiles(t *testing.T, bin string) {
	a := certstest.New(t)
	cert, key, _ := a.Files(t, "127.0.0.1")
	next, nextKey, _ := a.Files(t, "127.0.0.1", "next.test")
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	settings := func(cert, key string) {
		certstest.Write(t, file, fmt.Appendf(nil, "listen: ['tls+text://127.0.0.1:0']\ntls_cert: [%s]\ntls_key: [%s]\n",
			cert, key))
	}
	settings(cert, key)
	p := proctest.Start(t, nil, bin, "echo", "--config", file)
	names := func() string {
		conn, err := tls.Dial("tcp", p.Addrs["tls+text"], &tls.Config{RootCAs: a.Pool()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return strings.Join(conn.ConnectionState().PeerCertificates[0].DNSNames, " ")
	}
	settings(next, key)
	p.Signal(syscall.SIGHUP)
	p.AwaitLog("configuration not reloaded, the old one stays", 1)
	if got := names(); got != "" {
		t.Errorf("after a file with a key of another certificate: %q", got)
	}
	settings(next, nextKey)
	p.Signal(syscall.SIGHUP)
	p.AwaitLog("configuration reloaded", 1)
	if got := names(); got != "next.test" {
		t.Errorf("after the reload: %q", got)
	}
}

// echoed sends a line and waits for it to come back.
func echoed(nc net.Conn) error {
	_ = nc.SetDeadline(time.Now().Add(clientWithin))
	line := []byte("message\n")
	if _, err := nc.Write(line); err != nil {
		return err
	}
	_, err := io.ReadFull(nc, line)
	return err
}
