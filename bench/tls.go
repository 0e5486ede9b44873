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

// TLS says how a target with the scheme wss or tls is to be trusted. The zero value trusts whom the system trusts.
type TLS struct {
	Insecure   bool   `json:"insecure,omitempty"`    // take any certificate
	CA         string `json:"ca,omitempty"`          // a file of certificates, PEM, to trust instead of the system's
	ServerName string `json:"server_name,omitempty"` // to ask for and to verify. Defaults to the target's host.
}

// config reads the file.
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
		return nil, fmt.Errorf("%s has no certificate in it", t.CA)
	}
	return c, nil
}

// tlsDescriptors is how many descriptors a connection with TLS takes: its socket, and both ends of the pair to the engine.
const tlsDescriptors = 3

// descriptors is how many a connection takes.
func (o *Options) descriptors() int {
	if o.overTLS() {
		return tlsDescriptors
	}
	return 1
}

// bridge has two goroutines carry bytes between a TLS connection and the engine, which has none: near is for the engine. What ends either side ends the other: a server that
// ends its sending alone still gets what the engine has to say. All is closed and over when the engine has closed near, or the generator ends.
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
		_ = outer.Close() // with a close_notify (RFC 8446 section 6.1): the engine has closed its end, and hears nothing more
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

// record is the most bytes in a record of TLS (RFC 8446 section 5.1).
const record = 16 << 10

// carry copies until from ends or to takes no more. Why is not told: the engine sees the end, as of any connection.
func carry(to io.Writer, from io.Reader) { _, _ = io.CopyBuffer(to, from, make([]byte, record)) }

// socketPair is a connection within the process.
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
		ends[i], errs[i] = net.FileConn(f) // on a descriptor of its own
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

// cores is how many cores the generators can keep busy: their loops, or with TLS, which does its work beside them, all there are.
func (o *Options) cores() float64 {
	if o.overTLS() {
		return float64(runtime.NumCPU())
	}
	return float64(o.Loops * o.Processes)
}
