package reload_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// A certificate of the admin listener that cannot be used keeps the whole configuration, as each
// other file does.
func TestBadAdminCertificateChangesNothing(t *testing.T) {
	t.Parallel()
	authority := certstest.New(t)
	cert, key, _ := authority.Files(t, "localhost")
	tokens := filepath.Join(t.TempDir(), "tokens")
	certstest.Write(t, tokens, []byte("a-token-of-sixteen-characters\n"))
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(more string) {
		certstest.Write(t, path, []byte("admin: 127.0.0.1:0\nadmin_token_file: "+tokens+"\nadmin_tls_cert: "+cert+
			"\nadmin_tls_key: "+key+"\n"+more))
	}
	write("")
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0", "--config", path)

	good, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	goodKey, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	expired, expiredKey := authority.IssueUntil(t, time.Now().Add(-time.Hour), "localhost")
	certstest.Write(t, cert, expired)
	certstest.Write(t, key, expiredKey)
	write("max_conns: 50\n")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("configuration not reloaded, the old one stays", 1)
	if log := server.Log(); strings.Contains(log, "configuration reloaded") ||
		!strings.Contains(log, "admin_tls_cert: certs: "+cert+": the certificate has expired") {
		t.Errorf("the log:\n%s", log)
	}

	// Other files take effect without a restart.
	cert, key = filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	certstest.Write(t, cert, good)
	certstest.Write(t, key, goodKey)
	write("max_conns: 50\n")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog(`changed="admin_tls_cert admin_tls_key max_conns"`, 1)
}

// SIGHUP does not end a process that was started with tokens of operators.
func TestHangUpWithTokensOfOperators(t *testing.T) {
	t.Parallel()
	tokens := filepath.Join(t.TempDir(), "tokens")
	certstest.Write(t, tokens, []byte("a-token-of-sixteen-characters\n"))
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0",
		"--admin", "127.0.0.1:0", "--admin-token-file", tokens)
	certstest.Write(t, tokens, []byte("three words here\n"))
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("configuration not reloaded, the old one stays", 1)
	proctest.Echoes(t, proctest.Dial(t, server.Addrs["text"]), "still there")
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A gateway keeps its certificate when the files become wrong. Its workers do not need them: one
// that dies meanwhile is started again.
func TestWorkerIsStartedAgainWithBadCertificate(t *testing.T) {
	t.Parallel()
	cert, key, _ := certstest.New(t).Files(t, "localhost")
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--workers", "1", "--listen", "text://127.0.0.1:0",
		"--listen", "wss://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	certstest.Write(t, cert, []byte("not a certificate"))
	if err := syscall.Kill(server.WorkerPIDs(1)[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	server.AwaitLog(`msg="worker ready"`, 2)
	proctest.Echoes(t, proctest.Dial(t, server.Addrs["text"]), "still there")
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A worker that dies while the file is wrong, or has been changed without a reload, is started
// again with the settings in effect. SIGHUP to a worker process does nothing.
func TestWorkerIsStartedAgainWithBadFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(text string) {
		certstest.Write(t, path, []byte("workers: 1\nlisten: text://127.0.0.1:0\n"+text))
	}
	write("broadcast_prefix: old\n")
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--config", path)
	c := proctest.Dial(t, server.Addrs["text"])
	second := proctest.Dial(t, server.Addrs["text"])
	proctest.Echoes(t, second, "here")
	write("colour: red\n")
	pid := server.WorkerPIDs(1)[0]
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
	}
	server.AwaitLog(`msg="worker ready"`, 2)
	proctest.Echoes(t, c, "still there")
	if log := server.Log(); strings.Count(log, `msg="worker ended`) != 1 || strings.Contains(log, "colour") {
		t.Errorf("the log:\n%s", log)
	}
	expectBroadcast(t, "old", c, second)

	write("broadcast_prefix: new\nkey_file: " + path + "\n")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("msg=reloaded", 1)
	if log := server.Log(); !strings.Contains(log, "changed=broadcast_prefix\n") ||
		!strings.Contains(log, "keys=key_file\n") {
		t.Errorf("the log:\n%s", log)
	}
	expectBroadcast(t, "new", c, second)
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// expectBroadcast expects that a message with a prefix reaches all clients.
func expectBroadcast(t *testing.T, prefix string, clients ...net.Conn) {
	t.Helper()
	_, _ = fmt.Fprintln(clients[0], prefix+" to all")
	for _, c := range clients {
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != prefix+" to all" {
			t.Errorf("a client receives %q, %v", line, err)
		}
	}
}

// A reload that takes away the keys of tokens opens the gateway to everybody, and says so.
func TestTokensAreTakenAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "sluice.yaml"), filepath.Join(dir, "secret")
	certstest.Write(t, secret, []byte(strings.Repeat("secret", 10)))
	const listen = "listen: [{url: 'ws://127.0.0.1:0', origin: [page.example]}]\n"
	certstest.Write(t, path, []byte(listen+"jwt_secret_file: "+secret+"\n"))
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--config", path)
	if opens(t, server.Addrs["ws"], "page.example") {
		t.Error("a client without a token is accepted")
	}
	certstest.Write(t, path, []byte(listen))
	for i := range 2 {
		server.Signal(syscall.SIGHUP)
		server.AwaitLog(`msg="configuration reloaded"`, i+1)
	}
	if !opens(t, server.Addrs["ws"], "page.example") {
		t.Error("a client without a token is refused")
	}
	if n := strings.Count(server.Log(), "level=WARN msg=\"clients need no token any more"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}
