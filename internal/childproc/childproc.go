// Package childproc runs processes of this program as child processes.
package childproc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is a child process.
type Process struct {
	PID int
	// Addrs has the host:port of each scheme in the ready line. It is set when Ready is closed.
	Addrs map[string]string

	cmd   *exec.Cmd
	ready chan struct{}
	done  chan struct{}
	err   error // result of Wait; set when done is closed
}

// These are the times that a child may take until its ready line, and until its end after SIGTERM.
const (
	startDelay = 20 * time.Second
	endWithin  = 15 * time.Second
)

var (
	// ErrKilled is returned by Stop for a child that did not end on SIGTERM.
	ErrKilled = errors.New("childproc: did not end on SIGTERM")
	// ErrEnded is returned by Await for a child that ended before it was ready. It is wrapped with
	// the error of Wait.
	ErrEnded = errors.New("ended before it was ready")
	// ErrNotReady is returned by Await for a child that was not ready in time.
	ErrNotReady = errors.New("not ready in time")
)

// ExitWithParent makes cmd, a server of this program, drain when this process ends for any reason:
// its standard input is a pipe that is closed then. Signals of the terminal reach only this
// process, which stops its children itself.
func ExitWithParent(cmd *exec.Cmd) {
	cmd.Args = append(cmd.Args, "--exit-with-parent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	_, _ = cmd.StdinPipe() // fails only if there is already a standard input
}

// Start starts cmd and waits for the line on its standard output that begins with "ready". It
// returns an error if the child ends before that, or is not ready within 20 s and is killed.
func Start(cmd *exec.Cmd) (*Process, error) {
	p, err := Launch(cmd)
	if err != nil {
		return nil, err
	}
	if err := p.Await(startDelay, nil); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// Launch starts cmd. It reads the child's standard output for the ready line and discards the rest.
func Launch(cmd *exec.Cmd) (*Process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("childproc: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("childproc: %w", err)
	}
	p := &Process{PID: cmd.Process.Pid, cmd: cmd, ready: make(chan struct{}), done: make(chan struct{})}
	go p.follow(out)
	return p, nil
}

// follow reads the child's output to its end and then waits for the child.
func (p *Process) follow(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			p.Addrs = addrs(rest)
			close(p.ready)
			break
		}
	}
	_, _ = io.Copy(io.Discard, out)
	p.err = p.cmd.Wait()
	close(p.done)
}

// addrs parses the URLs of a ready line.
func addrs(line string) map[string]string {
	m := make(map[string]string)
	for url := range strings.FieldsSeq(line) {
		scheme, addr, _ := strings.Cut(url, "://")
		m[scheme], _, _ = strings.Cut(addr, "/")
	}
	return m
}

// Ready returns a channel that is closed when the child has reported that it is ready.
func (p *Process) Ready() <-chan struct{} { return p.ready }

// Done returns a channel that is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// NotReady reports whether the child has not yet been ready. It stays true if the child ended
// before that.
func (p *Process) NotReady() bool {
	select {
	case <-p.ready:
		return false
	default:
		return true
	}
}

// Terminated reports whether an error of Wait means that SIGTERM ended the child, which had not
// caught it.
func Terminated(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// Err waits for the end of the child and returns the result of Wait.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Await waits until the child is ready. It returns an error when the child has ended, when the time
// is over, or when giveUp is closed. It does not stop the child.
func (p *Process) Await(within time.Duration, giveUp <-chan struct{}) error {
	late := time.NewTimer(within)
	defer late.Stop()
	err := ErrNotReady
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		if err = ErrEnded; p.err != nil {
			err = fmt.Errorf("%w: %w", ErrEnded, p.err)
		}
	case <-late.C:
	case <-giveUp:
	}
	return fmt.Errorf("childproc: %s %v: %w", filepath.Base(p.cmd.Path), p.cmd.Args[1:], err)
}

// Kill kills the process with SIGKILL and waits for it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may already have ended
	<-p.done
}

// Stop sends SIGTERM to the process and waits for it. After 15 s it kills it with SIGKILL. It
// returns the result of Wait. A second call returns the same.
func (p *Process) Stop() error { return p.StopWithin(endWithin) }

// StopWithin is like Stop with another time limit.
func (p *Process) StopWithin(d time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may already have ended
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-p.done:
		return p.err
	case <-late.C:
		p.Kill()
		return ErrKilled
	}
}
