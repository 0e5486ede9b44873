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

// Process is a child.
type Process struct {
	PID   int
	Addrs map[string]string // host:port by scheme, from its ready line. Set when Ready is closed.

	cmd   *exec.Cmd
	ready chan struct{}
	done  chan struct{}
	err   error // of Wait. Set when done is closed.
}

// How long a child may take to its ready line, and to its end after SIGTERM.
const (
	startDelay = 20 * time.Second
	endWithin  = 15 * time.Second
)

var (
	// ErrKilled is returned by Stop for a child that did not end on SIGTERM.
	ErrKilled = errors.New("child: did not end on SIGTERM")
	// ErrEnded is returned by Await for a child that ended before it was ready, with what Wait said.
	ErrEnded = errors.New("ended before it was ready")
	// ErrSilent is returned by Await for a child that was not ready in time.
	ErrSilent = errors.New("not ready in time")
)

// Leash has cmd, one of the program's servers, drain when this process ends in whatever way: its standard input is a pipe that breaks then. What is typed at the terminal is
// for this process alone, which tells its children in its own time.
func Leash(cmd *exec.Cmd) {
	cmd.Args = append(cmd.Args, "--exit-with-parent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	_, _ = cmd.StdinPipe() // it fails only when there is a standard input already
}

// Start starts cmd and waits for the line on its standard output that begins with "ready". A child that ends before, or says nothing for 20 s and is killed, is an error.
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

// Launch starts cmd. Its standard output is read for the ready line; all else there is thrown away.
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

// follow reads the child's output to its end, and then waits for the child's.
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
	for _, url := range strings.Fields(line) {
		scheme, addr, _ := strings.Cut(url, "://")
		m[scheme], _, _ = strings.Cut(addr, "/")
	}
	return m
}

// Ready is closed when the child has said that it is ready.
func (p *Process) Ready() <-chan struct{} { return p.ready }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Early reports whether the child has not said yet that it is ready, or ended before it did.
func (p *Process) Early() bool {
	select {
	case <-p.ready:
		return false
	default:
		return true
	}
}

// Terminated reports whether an end, as Wait tells it, was SIGTERM's doing: the child had not caught it.
func Terminated(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// Err is what Wait said, of a child that has ended.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Await waits until the child is ready. It gives up, and leaves the child as it is, when the child has ended, when the time is over, or when giveUp is closed.
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

// Stop ends the process with SIGTERM and waits for it; after 15 s with SIGKILL. It returns what Wait said. A second call returns the same.
func (p *Process) Stop() error { return p.StopWithin(endWithin) }

// StopWithin is Stop with another patience.
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
