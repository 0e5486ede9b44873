// Package redistest runs servers of Redis for tests: single ones, replicas with Sentinel, and
// Clusters. They listen on loopback, keep nothing on disk, and end with the test, also when it is
// killed.
package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a running redis-server. Its methods are for the goroutine of the test.
type Server struct {
	Addr string // host:port

	tb   testing.TB
	port string
	dir  string
	args []string // besides those that each server has
	auth []string // arguments of redis-cli
	cmd  *exec.Cmd
	log  *bytes.Buffer // read only after the process has ended
	done chan struct{} // closed when the process has ended
}

// patience is how long a test waits for what a server does within a second on an idle machine.
const patience = 30 * time.Second

// Start starts a server with further arguments, "--maxmemory", "10mb". Without redis-server the
// test is skipped, or fails if CI=true.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	need(tb)
	for range 20 {
		s := &Server{tb: tb, port: freePort(tb), dir: tb.TempDir(), args: args}
		s.Addr = net.JoinHostPort("127.0.0.1", s.port)
		if s.launch() {
			tb.Cleanup(s.Kill)
			return s
		}
		if !strings.Contains(s.log.String(), "in use") {
			tb.Fatalf("redis-server %v ended:\n%s", args, s.log)
		}
	}
	tb.Fatal("redis-server: no free port in 20 attempts")
	return nil
}

func need(tb testing.TB) {
	tb.Helper()
	for _, name := range []string{"redis-server", "redis-cli"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				tb.Fatal(err)
			}
			tb.Skipf("NOT TESTED: there is no %s here", name)
		}
	}
}

// freePort returns a port on which nothing listens. It is below those that systems give to outgoing
// connections, so that only another test like this one can take it.
func freePort(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		port := strconv.Itoa(10000 + rand.IntN(20000))
		ln, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			tb.Fatal(err)
		}
		return port
	}
	tb.Fatal("no free port in 1,000 attempts")
	return ""
}

// launch starts the process and waits until it answers. It returns false if it ended.
func (s *Server) launch() bool {
	s.tb.Helper()
	args := []string{"--port", s.port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no"}
	s.log, s.done = new(bytes.Buffer), make(chan struct{})
	s.cmd = exec.Command("redis-server", append(args, s.args...)...)
	if len(s.args) > 0 && strings.HasSuffix(s.args[0], ".conf") { // a configuration of its own, as Sentinel needs
		s.cmd = exec.Command("redis-server", s.args...)
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = dieWithParent()
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	cmd, done := s.cmd, s.done
	go func() {
		_ = cmd.Wait() // it is killed at last
		close(done)
	}()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-done:
			return false
		default:
		}
		// Another server on the port would answer, too, but not with this process's number.
		if out, err := s.Try("info", "server"); err == nil &&
			strings.Contains(out, fmt.Sprintf("process_id:%d\r\n", cmd.Process.Pid)) {
			return true
		}
	}
	s.Kill()
	s.tb.Fatalf("redis-server does not answer within %v:\n%s", patience, s.log)
	return false
}

// Try runs redis-cli against the server and returns what it prints.
func (s *Server) Try(command ...string) (string, error) {
	args := append([]string{"-h", "127.0.0.1", "-p", s.port, "-e"}, s.auth...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-cli", append(args, command...)...).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("redis-cli %v: %w", command, err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// Do runs a command on the server, and fails the test if that fails.
func (s *Server) Do(command ...string) string {
	s.tb.Helper()
	out, err := s.Try(command...)
	if err != nil {
		s.tb.Fatal(err)
	}
	return out
}

// Await polls the output of a command until it contains text.
func (s *Server) Await(text string, command ...string) {
	s.tb.Helper()
	var out string
	for end := time.Now().Add(patience); !strings.Contains(out, text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.tb.Fatalf("%v does not say %q within %v: %s", command, text, patience, out)
		}
		out, _ = s.Try(command...)
	}
}

// Kill ends the server with SIGKILL. Its data are gone. A second call does nothing.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

// Restart starts a server that was killed again, empty, on the same port.
func (s *Server) Restart() {
	s.tb.Helper()
	for range 50 {
		if s.launch() {
			return
		}
	}
	s.tb.Fatalf("redis-server cannot start again:\n%s", s.log)
}

// Pause stops the process with SIGSTOP: connections stay, and nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

// WithUser starts a server on which a user with these rules, and no other, may do anything but for
// the Server's own commands.
func WithUser(tb testing.TB, name, password string, rules ...string) *Server {
	tb.Helper()
	s := Start(tb)
	s.Do(append([]string{"acl", "setuser", name, "on", ">" + password}, rules...)...)
	s.Do("acl", "setuser", "redistest", "on", ">redistest", "allkeys", "allchannels", "allcommands")
	s.Do("acl", "setuser", "default", "off")
	s.auth = []string{"--user", "redistest", "--pass", "redistest", "--no-auth-warning"}
	return s
}

// WithTLS starts a server that takes only TLS. The certificate is for 127.0.0.1.
func WithTLS(tb testing.TB, cert, key, ca string) *Server {
	tb.Helper()
	need(tb)
	for range 20 {
		s := &Server{tb: tb, port: freePort(tb), dir: tb.TempDir()}
		s.Addr = net.JoinHostPort("127.0.0.1", s.port)
		conf := filepath.Join(s.dir, "redis.conf")
		text := fmt.Sprintf("port 0\ntls-port %s\nbind 127.0.0.1\ndir %s\nsave \"\"\ntls-cert-file %s\n"+
			"tls-key-file %s\ntls-ca-cert-file %s\ntls-auth-clients no\n", s.port, s.dir, cert, key, ca)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		s.args, s.auth = []string{conf}, []string{"--tls", "--cacert", ca}
		if s.launch() {
			tb.Cleanup(s.Kill)
			return s
		}
	}
	tb.Fatal("redis-server with TLS does not start")
	return nil
}
