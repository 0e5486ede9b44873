package engine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// unixSocket removes its file on Close only if it is still the one it made: a
// successor may have put its own in the place.
type unixSocket struct {
	*net.UnixListener
	made os.FileInfo // nil for an abstract name
}

func listenUnix(path string) (socket, error) {
	if err := clearStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	made, err := os.Lstat(path)
	if err != nil {
		made = nil
	}
	return unixSocket{l, made}, nil
}

func (s unixSocket) Close() error {
	path := s.Addr().String()
	if s.made != nil {
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, s.made) {
			_ = os.Remove(path)
		}
	}
	return s.UnixListener.Close()
}

// clearStale removes a socket nobody listens on, and nothing else.
func clearStale(path string) error {
	if strings.HasPrefix(path, "@") {
		return nil
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil // bind will say what is wrong
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return fmt.Errorf("%s: %w", path, syscall.EADDRINUSE)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}
