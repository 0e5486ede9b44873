package engine

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// The header of a proxy comes before the TLS handshake, so it is read on the handshake's goroutine.
// No byte after it may be taken from the socket.

// readProxyHeader reads the header of a's proxy, if there is one. After an error a is closed.
func (h *handshakes) readProxyHeader(a *handshaking) error {
	if a.limits.proxy == nil {
		return nil
	}
	ln := h.ln
	_, n, err := peekHeader(a)
	if !a.limits.proxy.Trusts(a.remote.Addr()) {
		if err != nil || n == 0 { // a proxy sends its header at once
			return nil
		}
		ln.update(func(s *ListenerStats) { s.ProxyHeadersIgnored++ })
		a.limits.proxy.Report(a.remote, ErrUntrustedProxy)
		_, err = io.CopyN(io.Discard, a.nc, int64(n))
		return err
	}
	if errors.Is(err, ErrNoProxyHeader) && !a.limits.proxy.Required {
		return nil
	}
	client, err := readExactly(a)
	if err != nil {
		ln.update(func(s *ListenerStats) { s.ProxyHeadersInvalid++ })
		err = fmt.Errorf("%w: %w", ErrProxyHeader, err)
		a.limits.proxy.Report(a.remote, err)
		return err
	}
	ln.update(func(s *ListenerStats) { s.ProxyHeaders++ })
	if !client.IsValid() {
		return nil
	}
	client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
	counted, ok := ln.reassign(a.remote, a.counted, client)
	if !ok {
		return ErrAddressLimit
	}
	a.remote, a.counted = client, counted
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if e, open := h.open[a.nc]; open {
		e.from = origin(client)
		h.open[a.nc] = e
	}
	return nil
}

// peekHeader reads a header from the bytes that have come, and leaves them in the socket. It waits
// for the first ones.
func peekHeader(a *handshaking) (client netip.AddrPort, n int, err error) {
	socket, ok := a.nc.(syscall.Conn)
	if !ok {
		return client, 0, ErrNoProxyHeader
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return client, 0, err
	}
	var b [4096]byte
	have := 0
	waited := raw.Read(func(fd uintptr) bool {
		have, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	switch {
	case waited != nil:
		return client, 0, waited
	case err != nil:
		return client, 0, err
	case have == 0:
		return client, 0, io.EOF
	}
	return a.limits.proxy.ReadHeader(b[:have])
}

// readExactly reads a header byte by byte, so that nothing after it is read.
func readExactly(a *handshaking) (client netip.AddrPort, err error) {
	var b []byte
	for n := 0; n == 0 && err == nil; {
		b = append(b, 0)
		if _, err = io.ReadFull(a.nc, b[len(b)-1:]); err == nil {
			client, n, err = a.limits.proxy.ReadHeader(b)
		}
	}
	return client, err
}
