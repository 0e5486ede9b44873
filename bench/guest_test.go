package bench_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/codec"
)

// wire is the interface of all codecs.
type wire interface {
	Decode(in, out []byte) (ev codec.Event, payload []byte, n int, reply []byte, err error)
	Append(dst, payload []byte, text bool) []byte
}

// guest is one connection of the load, on the server's side.
type guest struct {
	nc      net.Conn
	request *codec.Request // of a WebSocket
	wire    wire
	in      []byte
	text    bool // the last message was, and so are answers
}

// admit accepts a connection, with the WebSocket handshake if the codec has one.
func admit(nc net.Conn, c bench.Codec, o *codec.UpgradeOptions) (*guest, error) {
	g := &guest{nc: nc}
	switch c {
	case bench.Text:
		g.wire = codec.Text{}
	case bench.JSON:
		g.wire = codec.JSON{}
	case bench.JSONLines:
		g.wire = codec.JSONLines{}
	case bench.Frame:
		g.wire = codec.Frame{}
	default:
		for g.request == nil {
			r, n, err := codec.ReadRequest(g.in)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				if err := g.read(); err != nil {
					return nil, err
				}
				continue
			}
			g.request, g.in = r, g.in[n:]
		}
		ws, response, err := codec.Upgrade(g.request, o)
		if err != nil {
			return nil, err
		}
		g.wire = ws
		_, err = nc.Write(response)
		return g, err
	}
	return g, nil
}

func (g *guest) read() error {
	var space [4 << 10]byte
	n, err := g.nc.Read(space[:])
	g.in = append(g.in, space[:n]...)
	return err
}

// receive returns the next message.
func (g *guest) receive() (string, error) {
	for {
		ev, payload, n, _, err := g.wire.Decode(g.in, nil)
		if err != nil {
			return "", err
		}
		said := string(payload)
		g.in = g.in[n:]
		if ev == codec.MessageText || ev == codec.MessageBinary {
			g.text = ev == codec.MessageText
			return said, nil
		}
		if n == 0 {
			if err := g.read(); err != nil {
				return "", err
			}
		}
	}
}

func (g *guest) say(s string) error {
	_, err := g.nc.Write(g.wire.Append(nil, []byte(s), g.text))
	return err
}

// host serves a codec on loopback. It calls talk for each guest
// until it fails. It returns HOST:PORT.
func host(t *testing.T, c bench.Codec, talk func(*guest) error) string {
	t.Helper()
	return serve(t, func(nc net.Conn) {
		g, err := admit(nc, c, &codec.UpgradeOptions{})
		for err == nil {
			err = talk(g)
		}
	})
}

// echo sends the next message back.
func echo(g *guest) error {
	said, err := g.receive()
	if err != nil {
		return err
	}
	return g.say(said)
}

// certificate returns a self-signed certificate for 127.0.0.1 and peer.example, and a file with it.
func certificate(t *testing.T) (server *tls.Config, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"peer.example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca = file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, ca
}

// tlsPeer is peer over TLS.
func tlsPeer(t *testing.T, config *tls.Config, c bench.Codec, talk func(*guest) error) string {
	t.Helper()
	return serve(t, func(nc net.Conn) {
		over := tls.Server(nc, config)
		g, err := admit(over, c, &codec.UpgradeOptions{})
		for err == nil {
			err = talk(g)
		}
	})
}

// file returns the name of a file with this text.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
