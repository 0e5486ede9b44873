package cli_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// operator runs commands over the admin listener of a server.
type operator struct {
	t         *testing.T
	bin       string
	url, file string // of the listener and the token
	server    *proctest.Process
	env       []string // of commands, besides that of the tests
}

func newOperator(t *testing.T, args ...string) *operator {
	t.Helper()
	o := &operator{t: t, bin: proctest.Build(t), file: filepath.Join(t.TempDir(), "token")}
	if err := os.WriteFile(o.file, []byte("a-token-of-the-tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.server = proctest.Start(t, nil, o.bin, append(args, "--admin", "127.0.0.1:0", "--admin-token-file", o.file)...)
	o.url = "http://" + strings.TrimPrefix(o.server.Addrs["admin"], "admin://")
	return o
}

// run runs a command and returns its output and exit code.
func (o *operator) run(line ...string) (out string, code int) {
	o.t.Helper()
	cmd := exec.Command(o.bin, line...)
	cmd.Env = append(append(os.Environ(), "SLUICE_ADMIN="+o.url, "SLUICE_ADMIN_TOKEN_FILE="+o.file), o.env...)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		o.t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// says fails the test unless the command ends with the code and its output contains a text.
func (o *operator) says(code int, text string, line ...string) {
	o.t.Helper()
	if out, got := o.run(line...); got != code || !strings.Contains(out, text) {
		o.t.Errorf("sluice %q: exit code %d, want %d, output without %q: %s", line, got, code, text, out)
	}
}

// read runs a command with --json and decodes its output.
func (o *operator) read(into any, line ...string) {
	o.t.Helper()
	out, code := o.run(append(line, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil || code != 0 {
		o.t.Fatalf("sluice %q: exit code %d, %v: %s", line, code, err, out)
	}
}

// Each command of operators does what it says, on a server of its own process. Its log has each
// change, whatever the level is.
func TestOperating(t *testing.T) {
	t.Parallel()
	o := newOperator(t, "chat", "--listen", "text://127.0.0.1:0", "--log-level", "error")
	text := strings.TrimPrefix(o.server.Addrs["text"], "text://")
	var people []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", text)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		people = append(people, c)
	}
	var list struct {
		Clients []struct{ ID, Addr string }
		Next    string
	}
	proctest.Await(t, "three clients", func() bool {
		o.read(&list, "clients")
		return len(list.Clients) == 3
	})
	var status struct {
		Clients, Workers int
		Ready            bool
	}
	if o.read(&status, "status"); status.Clients != 3 || status.Workers != 1 || !status.Ready {
		t.Errorf("%+v", status)
	}
	o.says(0, "clients", "status")
	o.says(0, "ok\n", "health")
	o.says(0, "ok\n", "health", "--live")
	o.says(0, list.Clients[0].ID, "clients", "--limit", "-1")
	o.says(0, "there are more", "clients", "--limit", "1")
	o.says(0, people[0].LocalAddr().String(), "clients", "--addr", people[0].LocalAddr().String())
	o.says(0, "last heard", "client", list.Clients[0].ID)
	o.says(0, "GROUP", "groups")
	o.says(0, "WORKER", "workers")
	o.says(0, "messages a second", "top", "--count", "2", "--interval", "100ms")
	o.says(0, "delivered 0\n", "publish", "--group", "nobody", "hello")
	o.says(0, "delivered 3\n", "publish", "--all", "hello")
	o.says(0, "kicked 1\n", "kick", list.Clients[1].ID)
	o.says(1, "404 Not Found", "kick", list.Clients[1].ID)
	o.says(0, "kicked 0\n", "kick", "--group", "nobody")
	o.says(0, `{"level":"debug"}`, "log-level", "debug", "--json")
	o.says(1, "must be debug, info, warn or error", "log-level", "loud")
	o.says(0, "reloaded\n", "reload")
	o.says(1, "401 Unauthorized", "status", "--admin-token-file", o.otherToken())
	o.says(0, "ok\n", "health", "--admin-token-file", "/nonexistent") // a probe needs no token
	o.says(1, "--admin-token-file /nonexistent: no such file", "status", "--admin-token-file", "/nonexistent")
	o.says(1, "does the gateway have --admin?", "status", "--admin", "127.0.0.1:1")
	for _, format := range []string{"--json=false", "--json"} {
		if out, code := o.run("clients", format, "--admin", "127.0.0.1:1"); code != 1 || !strings.HasPrefix(out, "sluice: ") {
			t.Errorf("clients %s prints a part of a list: exit code %d, %s", format, code, out)
		}
	}
	for _, line := range [][]string{
		{"kick"}, {"kick", "a", "b"}, {"kick", "a", "--uid", "b"}, {"publish", "x"}, {"publish", "--all"},
		{"client"}, {"status", "--admin", "ftp://x"}, {"top", "--interval", "1ms"}, {"clients", "--limit", "x"},
		{"clients", "--limit", "0"}, {"status", "--timeout", "0s"}, {"doctor", "--clients", "0"},
	} {
		o.says(2, "Run 'sluice "+line[0]+" --help' for usage.", line...)
	}
	log := o.server.Log()
	if !strings.Contains(log, "change=kick") || !strings.Contains(log, "client="+list.Clients[1].ID) {
		t.Errorf("the log: %s", log)
	}
	o.says(0, "draining\n", "drain")
	if code := o.server.ExitCode(); code != 0 {
		t.Errorf("the server ends with %d", code)
	}
}

// A process that has no files has nothing to read again.
func TestReloadWithoutFiles(t *testing.T) {
	t.Parallel()
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0", "--admin", "127.0.0.1:0")
	o := &operator{t: t, bin: proctest.Build(t), url: "http://" + strings.TrimPrefix(server.Addrs["admin"], "admin://")}
	o.says(1, "501 Not Implemented", "reload")
}

func (o *operator) otherToken() string {
	o.t.Helper()
	file := filepath.Join(o.t.TempDir(), "other")
	if err := os.WriteFile(file, []byte("another-token-of-the-tests"), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return file
}

// A gateway without a worker is not ready, and neither is one that drains.
func TestHealth(t *testing.T) {
	t.Parallel()
	o := newOperator(t, "gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0", "--drain-delay", "1m")
	o.says(1, "not ready: no worker is connected", "health")
	o.says(0, "ok\n", "health", "--live")
	var h struct {
		OK     bool
		Status int
		Reason string
	}
	out, code := o.run("health", "--json")
	first, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(first), &h); err != nil || code != 1 || h.OK || h.Status != 503 || h.Reason == "" {
		t.Errorf("%d: %s", code, out)
	}
	o.says(0, "draining", "drain")
	o.says(1, "not ready: the gateway drains", "health")
	o.server.Signal(syscall.SIGTERM)
	o.server.Signal(syscall.SIGINT) // the second signal ends it at once
	<-o.server.Done()
}

// An admin listener that others can reach needs tokens. An address that is in use is an error.
func TestAdminIsNotExposed(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	for _, c := range []struct {
		flags []string
		code  int
		says  string
	}{
		{[]string{"--admin", "0.0.0.0:0"}, 2, "--admin-token-file"},
		{[]string{"--admin", ":0"}, 2, "--admin"},
		{[]string{"--admin", "9090"}, 2, "--admin"},
		{[]string{"--admin", "http://127.0.0.1:0"}, 2, "without a scheme"},
		{[]string{"--admin-token-file", os.DevNull}, 2, "needs --admin"},
		{[]string{"--admin", "127.0.0.1:0", "--admin-token-file", os.DevNull}, 1, "has no token"},
		{[]string{"--admin", "127.0.0.1:0", "--admin-token-file", "/nothing"}, 1, "no such file"},
		{[]string{"--admin", used.Addr().String()}, 1, "address already in use"},
	} {
		cmd := exec.Command(bin, append([]string{"gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0"},
			c.flags...)...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.says) {
			t.Errorf("%q: exit code %d, want %d, without %q: %s", c.flags, code, c.code, c.says, out)
		}
	}
}

// The admin listener speaks TLS, and a new certificate is used after SIGHUP.
func TestAdminTLS(t *testing.T) {
	t.Parallel()
	authority := certstest.New(t)
	cert, key, ca := authority.Files(t, "127.0.0.1")
	settings := filepath.Join(t.TempDir(), "sluice.yaml")
	certstest.Write(t, settings, nil)
	o := newOperator(t, "echo", "--listen", "text://127.0.0.1:0", "--config", settings, "--admin-tls-cert", cert,
		"--admin-tls-key", key)
	o.says(1, "the listener speaks TLS: give --admin https://", "status")
	o.url = strings.Replace(o.url, "http:", "https:", 1)
	o.says(1, "certificate signed by unknown authority", "status")
	o.says(0, "ready", "status", "--admin-ca", ca)
	other := certstest.New(t)
	newCert, newKey := other.Issue(t, "127.0.0.1")
	certstest.Write(t, cert, newCert)
	certstest.Write(t, key, newKey)
	certstest.Write(t, ca, other.PEM)
	o.server.Signal(syscall.SIGHUP)
	o.server.AwaitLog("certificates reloaded", 1)
	o.says(0, "ready", "status", "--admin-ca", ca)
	out, err := exec.Command(o.bin, "gateway", "--admin", "127.0.0.1:0", "--admin-tls-cert", cert).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "need each other") {
		t.Errorf("%v: %s", err, out)
	}
}

// A command sends nothing through a proxy that only the environment names. Through one that a flag
// names it sends what is encrypted.
func TestOperatorsProxy(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 16)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		up, err := net.Dial("tcp", r.Host)
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer up.Close()
		w.WriteHeader(http.StatusOK)
		down, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer down.Close()
		go func() { _, _ = io.Copy(up, down); _ = up.Close() }()
		_, _ = io.Copy(down, up)
	}))
	t.Cleanup(proxy.Close)
	cert, key, ca := certstest.New(t).Files(t, "127.0.0.1", "0.0.0.0")
	o := newOperator(t, "echo", "--listen", "text://127.0.0.1:0", "--admin-tls-cert", cert, "--admin-tls-key", key)
	secure := strings.Replace(o.url, "http:", "https:", 1)
	o.env = []string{"HTTP_PROXY=" + proxy.URL, "HTTPS_PROXY=" + proxy.URL, "NO_PROXY="}
	// net/http does not use those of the environment for 127.0.0.1.
	o.url = strings.Replace(secure, "127.0.0.1", "0.0.0.0", 1)
	o.says(0, "ready", "status", "--admin-ca", ca)
	if len(asked) > 0 {
		t.Errorf("the proxy was asked: %s", <-asked)
	}
	o.url = secure
	o.says(0, "ready", "status", "--admin-ca", ca, "--admin-proxy", proxy.URL)
	if got, want := <-asked, "CONNECT "+strings.TrimPrefix(secure, "https://"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	o.says(2, "needs an https:// URL", "status", "--admin", "http://127.0.0.1:9", "--admin-proxy", proxy.URL)
	o.says(2, "must be http://HOST:PORT", "status", "--admin-proxy", "127.0.0.1:9")
}

// A reload by the API does what SIGHUP does, and says whether the configuration is right. The
// variable that names the admin listener for operators' commands does not open one.
func TestReloadByTheAPI(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("max_conns: 5\n")
	o := newOperator(t, "echo", "--listen", "text://127.0.0.1:0", "--config", file)
	write("max_conns: 7\n")
	o.says(0, "reloaded\n", "reload")
	o.server.AwaitLog("configuration reloaded", 1)
	write("max_conns: many\n")
	o.says(1, "409 Conflict", "reload")
	server := proctest.Start(t, []string{"SLUICE_ADMIN=" + o.url, "SLUICE_ADMIN_TOKEN_FILE=" + o.file}, o.bin, "echo",
		"--listen", "text://127.0.0.1:0")
	if addr := server.Addrs["admin"]; addr != "" {
		t.Errorf("it listens on %s", addr)
	}
}

// doctor prints each limit, and its exit code says whether one hurts.
func TestDoctor(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	cmd := exec.Command(bin, "doctor", "--clients", strconv.Itoa(1<<30), "--json")
	out, err := cmd.Output()
	var d struct {
		Clients  int
		Findings []struct {
			Check string
			Limit int
			Hurts bool
			Mend  string
		}
	}
	if json.Unmarshal(out, &d) != nil || len(d.Findings) == 0 || d.Clients != 1<<30 || err == nil ||
		cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: %s", err, out)
	}
	if out, _ := exec.Command(bin, "doctor", "--clients", strconv.Itoa(1<<30)).Output(); !strings.Contains(string(out),
		"descriptors: new clients wait in the kernel.\n  ulimit -n") {
		t.Errorf("%s", out)
	}
}

// The shell completes commands, flags and values.
func TestCompletion(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for want, line := range map[string][]string{
		"clients\t": {"cl"}, "warn\n": {"log-level", ""}, "--admin-token-file\t": {"kick", "--adm"},
	} {
		if out, err := exec.Command(bin, append([]string{"__complete"}, line...)...).Output(); err != nil ||
			!strings.Contains(string(out), want) {
			t.Errorf("%q: %v, without %q: %s", line, err, want, out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, err := exec.Command(bin, "completion", shell).Output(); err != nil || len(out) < 1000 {
			t.Errorf("%s: %v, %d bytes", shell, err, len(out))
		}
	}
}

// The API answers with the token of the file, and the metrics have the version.
func TestAPIOfAProcess(t *testing.T) {
	t.Parallel()
	o := newOperator(t, "echo", "--listen", "text://127.0.0.1:0")
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 401, "/api/v1/clients": 401} {
		r, err := http.Get(o.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, r.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
