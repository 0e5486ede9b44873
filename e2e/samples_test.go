package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// sample returns a sample configuration with other values. Each of them must be in it.
func sample(t *testing.T, name string, values ...string) string {
	t.Helper()
	text, err := os.ReadFile("../deploy/proxies/" + name)
	if err != nil {
		t.Fatal(err)
	}
	s := string(text)
	for i := 0; i < len(values); i += 2 {
		if !strings.Contains(s, values[i]) {
			t.Fatalf("%s has no %q", name, values[i])
		}
		s = strings.ReplaceAll(s, values[i], values[i+1])
	}
	return s
}

// selfSigned writes a certificate for chat.example and its key, and a file with both.
func selfSigned(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"chat.example"},
		NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for name, text := range map[string][]byte{
		"chat.example.crt": certPEM, "chat.example.key": keyPEM,
		"chat.example.pem": append(bytes.Clone(certPEM), keyPEM...),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// echoesThrough opens a WebSocket by way of a proxy, and waits for an answer.
func echoesThrough(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // self-signed
	defer transport.CloseIdleConnections()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		Host: "chat.example", HTTPClient: &http.Client{Transport: transport},
		HTTPHeader: http.Header{"Origin": {"https://chat.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(1 << 20)
	for _, text := range []string{"hello", strings.Repeat("long ", 10000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != text {
			t.Fatalf("%d bytes come back, %v", len(got), err)
		}
	}
}

// behindSample is an echo server as the samples expect one.
func behindSample(t *testing.T) *proctest.Process {
	return proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "ws://127.0.0.1:0",
		"--listen", "text://127.0.0.1:0", "--host", "chat.example", "--origin", "chat.example")
}

func TestSampleOfNginx(t *testing.T) {
	t.Parallel()
	nginx := need(t, "nginx", "/usr/sbin/nginx")
	dir := t.TempDir()
	selfSigned(t, dir)
	server := behindSample(t)
	addr, socket := listening(t)
	conf := sample(t, "nginx.conf", "listen 443", "listen "+addr, "/etc/ssl/", dir+"/",
		"127.0.0.1:7272", server.Addrs["ws"])
	temp := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	startServerOf(t, filepath.Join(dir, "nginx.conf"), "daemon off;\nworker_processes 1;\npid "+dir+"/pid;\n"+
		"error_log stderr;\nevents { worker_connections 1024; }\nhttp {\naccess_log off;\n"+temp+conf+"}\n",
		[]string{"NGINX=3;"}, []*os.File{socket}, nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
	echoesThrough(t, "wss://"+addr+"/chat?room=1")
}

func TestSampleOfHAProxy(t *testing.T) {
	t.Parallel()
	haproxy := need(t, "haproxy", "/usr/sbin/haproxy")
	dir := t.TempDir()
	selfSigned(t, dir)
	server := behindSample(t)
	web, webSocket := listening(t)
	text, textSocket := listening(t)
	conf := sample(t, "haproxy.cfg", "bind :443", "bind fd@3", "bind :7273", "bind fd@4", "/etc/ssl/", dir+"/",
		"127.0.0.1:7272", server.Addrs["ws"], "127.0.0.1:7274", server.Addrs["text"], "maxconn 100000", "maxconn 100")
	startServerOf(t, filepath.Join(dir, "haproxy.cfg"), conf, nil, []*os.File{webSocket, textSocket},
		haproxy, "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	echoesThrough(t, "wss://"+web+"/chat?room=1")
	c := proctest.Dial(t, text)
	proctest.Echoes(t, c, "hello")
}

func TestSampleOfCaddy(t *testing.T) {
	t.Parallel()
	caddy := need(t, "caddy")
	dir := t.TempDir()
	server := behindSample(t)
	addr, socket := listening(t)
	_ = socket.Close() // Caddy cannot be given a socket
	conf := "{\n\tadmin off\n\tauto_https off\n}\n" + sample(t, "Caddyfile", "chat.example {",
		"http://chat.example:"+addr[strings.LastIndexByte(addr, ':')+1:]+" {\n\tbind 127.0.0.1",
		"127.0.0.1:7272", server.Addrs["ws"])
	startServerOf(t, filepath.Join(dir, "Caddyfile"), conf, []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir,
		"XDG_CONFIG_HOME=" + dir}, nil, caddy, "run", "--adapter", "caddyfile", "--config", filepath.Join(dir, "Caddyfile"))
	proctest.Await(t, "Caddy listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	echoesThrough(t, "ws://"+addr+"/chat?room=1")
}
