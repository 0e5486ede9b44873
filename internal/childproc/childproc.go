// Package childproc runs the program's processes as children of this one.
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
	PID   int
	Addrs map[string]string // host:port by scheme, from its ready line. Set when Ready is closed.

	cmd   *exec.Cmd
	ready chan struct{}
	done  chan struct{}
	err   error // of Wait. Set when done is closed.
}

// How long a child may take until its ready line, and until its end after SIGTERM.
const (
	startDelay = 20 * time.Second
	endWithin  = 15 * time.Second
)

var (
	// ErrKilled is returned by Stop for a child that did not end on SIGTERM.
	ErrKilled = errors.New("child: did not end on SIGTERM")
	// ErrEnded is returned by Await, with the result of Wait, for a child that ended before it was
	// ready.
	ErrEnded = errors.New("ended before it was ready")
	// ErrSilent is returned by Await for a child that was not ready in time.
	ErrSilent = errors.New("not ready in time")
)

// Leash makes cmd, one of the program's servers, drain when this process ends in any way: the
// child's standard input is a pipe that is closed then. A signal typed at the terminal goes to this
// process alone, which stops its children itself.
func Leash(cmd *exec.Cmd) {
	cmd.Args = append(cmd.Args, "--exit-with-parent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	_, _ = cmd.StdinPipe() // it fails only when there is a standard input already
}

// Start starts cmd and waits for a line on its standard output that begins with "ready". A child
// that ends before that is an error, and so is one without such a line in 20 s, which is killed.
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

// Launch starts cmd. It reads the standard output for the ready line and discards the rest.
func Launch(cmd *exec.Cmd) (*Process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	p := &Process{PID: cmd.Process.Pid, cmd: cmd, ready: make(chan struct{}), done: make(chan struct{})}
	go p.follow(out)
	return p, nil
}

// follow reads the child's output to the end, and then waits for the child to end.
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

// addrs reads the URLs of a ready line.
func addrs(line string) map[string]string {
	m := make(map[string]string)
	for url := range strings.FieldsSeq(line) {
		scheme, addr, _ := strings.Cut(url, "://")
		m[scheme], _, _ = strings.Cut(addr, "/")
	}
	return m
}

// Ready is closed when the child is ready.
func (p *Process) Ready() <-chan struct{} { return p.ready }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Early reports whether the child is not ready yet, or ended before it was.
func (p *Process) Early() bool {
	select {
	case <-p.ready:
		return false
	default:
		return true
	}
}

// Terminated reports whether an error of Wait means that SIGTERM ended the child, which then did
// not catch it.
func Terminated(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// Err returns the result of Wait for a child that has ended.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Await waits until the child is ready. It returns an error, and leaves the child as it is, when
// the child has ended, the time is over, or giveUp is closed.
func (p *Process) Await(within time.Duration, giveUp <-chan struct{}) error {
	late := time.NewTimer(within)
	defer late.Stop()
	err := ErrSilent
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
	return fmt.Errorf("child: %s %v: %w", filepath.Base(p.cmd.Path), p.cmd.Args[1:], err)
}

// Kill ends the process with SIGKILL and waits for it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Stop ends the process with SIGTERM, after 15 s with SIGKILL, and waits for it. It returns the
// result of Wait. A second call returns the same.
func (p *Process) Stop() error { return p.StopWithin(endWithin) }

// StopWithin is Stop with another time limit.
func (p *Process) StopWithin(d time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
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
