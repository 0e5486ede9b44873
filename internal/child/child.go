// Package child runs the program's processes as children of this one.
package child

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Process is a running child that has said it is ready.
type Process struct {
	PID   int
	Addrs map[string]string // host:port by scheme, from its ready line

	cmd  *exec.Cmd
	once sync.Once
	err  error // of Wait
}

// How long a child may take to its ready line, and to its end after SIGTERM.
const (
	readyWithin = 20 * time.Second
	endWithin   = 15 * time.Second
)

// ErrKilled is returned by Stop for a child that did not end on SIGTERM.
var ErrKilled = errors.New("child: did not end on SIGTERM")

// Start starts cmd and waits for the line on its standard output that begins with "ready"; what comes before it is passed over, and what comes after it fills
// the pipe. A child that ends before, or says nothing for 20 s, is an error.
func Start(cmd *exec.Cmd) (*Process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	late := time.AfterFunc(readyWithin, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			return &Process{PID: cmd.Process.Pid, Addrs: addrs(rest), cmd: cmd}, nil
		}
	}
	return nil, fmt.Errorf("child: %s %v ended before it was ready: %w", filepath.Base(cmd.Path), cmd.Args[1:], cmd.Wait())
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

// Kill ends the process with SIGKILL and waits for it.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop ends the process with SIGTERM and waits for it; after 15 s with SIGKILL. It returns what Wait said. A second call returns the same.
func (p *Process) Stop() error {
	var killed atomic.Bool
	hard := time.AfterFunc(endWithin, func() {
		killed.Store(true)
		_ = p.cmd.Process.Kill()
	})
	defer hard.Stop()
	p.end(syscall.SIGTERM)
	if killed.Load() {
		return ErrKilled
	}
	return p.err
}

func (p *Process) end(s syscall.Signal) {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(s) // it may have ended by itself
		p.err = p.cmd.Wait()
	})
}
