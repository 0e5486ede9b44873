// Package memcachedtest runs servers of memcached for tests. They listen on loopback, and end with
// the test, also when it is killed.
package memcachedtest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a running memcached. Its methods are for the goroutine of the test.
type Server struct {
	Addr string // host:port, the same after Restart

	tb   testing.TB
	args []string // besides those that each server has
	cmd  *exec.Cmd
	log  *bytes.Buffer // read only after the process has ended
	done chan struct{} // closed when the process has ended
}

// patience is how long a test waits for what a server does within a second on an idle machine.
const patience = 30 * time.Second

// Start starts a server with further arguments, "-m", "16". Without memcached the test is skipped,
// or fails if CI=true.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	if _, err := exec.LookPath("memcached"); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal(err)
		}
		tb.Skip("NOT TESTED: there is no memcached here")
	}
	s := &Server{tb: tb, args: args}
	ports := filepath.Join(tb.TempDir(), "ports")
	s.launch("-1", "MEMCACHED_PORT_FILENAME="+ports) // it chooses a port
	tb.Cleanup(s.Kill)
	s.await(func() bool {
		text, _ := os.ReadFile(ports)
		_, port, _ := strings.Cut(string(text), "TCP INET: ")
		port, _, ok := strings.Cut(port, "\n")
		s.Addr = net.JoinHostPort("127.0.0.1", port)
		return ok
	})
	return s
}

// launch starts the process.
func (s *Server) launch(port string, env ...string) {
	s.tb.Helper()
	args := append([]string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "1"}, s.args...)
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	s.log, s.done = new(bytes.Buffer), make(chan struct{})
	s.cmd = exec.Command("memcached", args...)
	s.cmd.Env = append(os.Environ(), env...)
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
}

// await waits until the process is ready.
func (s *Server) await(ready func() bool) {
	s.tb.Helper()
	for end := time.Now().Add(patience); !ready(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-s.done:
			s.tb.Fatalf("memcached %v ended:\n%s", s.args, s.log)
		default:
		}
		if time.Now().After(end) {
			s.tb.Fatalf("memcached does not listen within %v", patience)
		}
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
	_, port, _ := net.SplitHostPort(s.Addr)
	s.launch(port)
	s.await(func() bool {
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// Pause stops the process with SIGSTOP, and returns when it has stopped: connections stay, and
// nothing answers.
func (s *Server) Pause() {
	s.tb.Helper()
	s.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		s.tb.Fatalf("memcached does not stop: status %x, %v", status, err)
	}
}

// Resume lets a paused process go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

// Do sends a command and returns the first line of the answer.
func (s *Server) Do(command string) string {
	s.tb.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr, patience)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		s.tb.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		s.tb.Fatal(err)
	}
	line, _, _ := strings.Cut(string(buf[:n]), "\r\n")
	return line
}
