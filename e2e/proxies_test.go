package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/childproc"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// need skips a test where a program is not installed, but not in CI. It returns where the first of
// them is that is.
func need(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, names[0])
	return ""
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("no %s: CI must have it", what)
	}
	t.Skipf("NOT TESTED: there is no %s here", what)
}

// listening is a free port on loopback, and the socket for who is to serve it, who gets it with
// startServerOf: a connection waits there from the beginning.
func listening(t *testing.T) (addr string, socket *os.File) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if socket, err = ln.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String(), socket
}

// startServerOf starts a server of others with a configuration and sockets, which it has from
// descriptor 3 on. It is ended with the test.
func startServerOf(t *testing.T, config, content string, env []string, sockets []*os.File,
	name string, args ...string) {
	t.Helper()
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	logs, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stderr, cmd.ExtraFiles = append(os.Environ(), env...), logs, sockets
	p, err := childproc.Launch(cmd)
	for _, s := range sockets { // so that nobody waits there when it ends
		_ = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Stop() // a signal ends it
		if b, err := os.ReadFile(logs.Name()); err == nil && t.Failed() {
			t.Logf("%s wrote:\n%s", name, b)
		}
		_ = logs.Close()
	})
}

// startNginx puts nginx in front of a gateway's WebSockets, also below /some/path/, and returns
// where clients come to.
func startNginx(t *testing.T, gateway *proctest.Process) (addr string) {
	t.Helper()
	nginx := need(t, "nginx", "/usr/sbin/nginx")
	dir := t.TempDir()
	addr, socket := listening(t)
	config := filepath.Join(dir, "nginx.conf")
	startServerOf(t, config, fmt.Sprintf(`
daemon off;
worker_processes 1;
pid %[1]s/pid;
error_log stderr;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	map $http_upgrade $connection_upgrade { default upgrade; '' close; }
	server {
		listen %[2]s;
		proxy_http_version 1.1;
		proxy_max_temp_file_size 0;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection $connection_upgrade;
		proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		proxy_set_header X-Forwarded-Proto $scheme;
		location / { proxy_pass http://%[3]s; }
		location /some/path/ { proxy_pass http://%[3]s/; }
	}
}`, dir, addr, gateway.Addrs["ws"]), []string{"NGINX=3;"}, []*os.File{socket}, nginx, "-p", dir, "-c", config, "-e", "stderr")
	return addr
}

// startHAProxy puts HAProxy in front of a gateway's WebSockets and its text clients, and returns
// where they come to.
func startHAProxy(t *testing.T, gateway *proctest.Process) (ws, text string) {
	t.Helper()
	haproxy := need(t, "haproxy", "/usr/sbin/haproxy")
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	ws, wsSocket := listening(t)
	text, textSocket := listening(t)
	startServerOf(t, config, fmt.Sprintf(`
defaults
	timeout connect 10s
	timeout client 1m
	timeout server 1m
	timeout tunnel 1m
listen ws
	mode http
	bind fd@3
	option forwardfor
	http-request set-header X-Forwarded-Proto http
	server gateway %s
listen text
	mode tcp
	bind fd@4
	server gateway %s
`, gateway.Addrs["ws"], gateway.Addrs["text"]), nil, []*os.File{wsSocket, textSocket}, haproxy, "-db", "-f", config)
	return ws, text
}
