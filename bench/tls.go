package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
)

// TLS says which certificates of a target with the scheme wss or tls are accepted. The zero value
// uses the certificates of the system.
type TLS struct {
	Insecure   bool   `json:"insecure,omitempty"`    // accept any certificate
	CA         string `json:"ca,omitempty"`          // file of trusted certificates, PEM, instead of the system's
	ServerName string `json:"server_name,omitempty"` // to send and to verify. Defaults to the target's host.
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: t.Insecure, ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, err
	}
	if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s contains no certificate", t.CA)
	}
	return c, nil
}

// descriptors returns how many a connection takes. With TLS these are its socket and both ends of
// the socket pair to the engine.
func descriptors(o *Options) int {
	if o.overTLS() {
		return 3
	}
	return 1
}

// generatorCores returns how many processors the generators can use. TLS runs
// on all of them, outside the loops.
func generatorCores(o *Options) float64 {
	if o.overTLS() {
		return float64(runtime.NumCPU())
	}
	return float64(o.Loops * o.Processes)
}

// bridge connects the engine, which has no TLS, with a TLS connection. Two goroutines copy between
// the TLS connection and a socket pair; near is the end for the engine. A server that closes only
// its sending side still receives what the engine sends. Everything is closed when the engine has
// closed near, or the generator ends.
func (g *generator) bridge(outer *tls.Conn) (near net.Conn, err error) {
	near, far, err := socketPair()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(g.ctx, func() { _, _ = outer.NetConn().Close(), far.Close() })
	up := make(chan struct{})
	g.dialling.Go(func() {
		defer close(up)
		carry(outer, far)
		_ = outer.Close() // sends close_notify (RFC 8446 section 6.1): the engine has closed its end
	})
	g.dialling.Go(func() {
		carry(far, outer)
		_ = far.CloseWrite()
		<-up
		_ = far.Close()
		stop()
	})
	return near, nil
}

// carry copies until from ends or to fails. The engine sees the end as of any connection, so that
// the error is not needed. The buffer holds a TLS record (RFC 8446 section 5.1).
func carry(to io.Writer, from io.Reader) { _, _ = io.CopyBuffer(to, from, make([]byte, 16<<10)) }

func socketPair() (near net.Conn, far *net.UnixConn, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ends, errs := [2]net.Conn{}, [2]error{}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		ends[i], errs[i] = net.FileConn(f) // has a descriptor of its own
		_ = f.Close()
	}
	if err := errors.Join(errs[:]...); err != nil {
		for _, c := range ends {
			if c != nil {
				_ = c.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1].(*net.UnixConn), nil
}
