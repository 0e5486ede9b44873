package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
)

// protocols are the codecs by the scheme of a listener's URL. The codec of a WebSocket is made by
// its upgrade.
var protocols = map[string]func(maxMessage int) messageCodec{ // bound: none, constant
	"ws":    func(int) messageCodec { return nil },
	"text":  func(n int) messageCodec { return codec.Text{MaxMessage: n} },
	"json":  func(n int) messageCodec { return codec.JSON{MaxMessage: n} },
	"jsonl": func(n int) messageCodec { return codec.JSONLines{MaxMessage: n} },
	"frame": func(n int) messageCodec { return codec.Frame{MaxMessage: n} },
}

// listener is one open Listener.
type listener struct {
	// Static after listenClients.
	ListenerConfig // URL has the actual port and no options
	g              *Gateway
	ln             *engine.Listener
	codec          messageCodec // nil: WebSocket
	path           upgradePath  // of a WebSocket
	proxies        proxies      // bound: none, fixed by New
	upgrade        codec.UpgradeOptions
	ready          chan struct{} // closed when all of the above is set
}

// upgrades reports whether the listener's clients connect by HTTP.
func (l *listener) upgrades() bool { return l.codec == nil }

// handshakeRoom is how many bytes a client may have sent in addition to the largest message: frame
// headers, and input after the message in the same read.
const handshakeRoom = 128 << 10

func (g *Gateway) listenClients(cfg ListenerConfig, encoding uint8) (*listener, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("gateway: listen: %w", err)
	}
	l := &listener{ListenerConfig: cfg, g: g, path: newUpgradePath(u.EscapedPath()), ready: make(chan struct{})}
	defer close(l.ready)
	l.proxies, _ = newProxies(cfg.TrustProxies) // New has checked them
	if cfg.Codec != nil {
		l.codec = own{cfg.Codec, cfg.MaxMessage, encoding}
	} else {
		l.codec = protocols[u.Scheme](cfg.MaxMessage)
	}
	if l.upgrades() {
		l.upgrade = codec.UpgradeOptions{Origins: cfg.Origins, Hosts: cfg.Hosts, Subprotocols: cfg.Subprotocols,
			MaxMessage: cfg.MaxMessage}
		if cfg.TokenSubprotocol != "" {
			l.upgrade.Subprotocols = append(slices.Clone(cfg.Subprotocols), cfg.TokenSubprotocol)
		}
		if cfg.Compress {
			l.upgrade.Deflate = codec.NewDeflate()
		}
	}
	l.ln, err = g.engine.Listen("tcp", u.Host, engine.ListenOptions{
		Conn: engine.ConnOptions{MaxInput: cfg.MaxMessage + handshakeRoom, MaxOutput: cfg.MaxOutput,
			Overflow: cfg.Overflow, WriteTimeout: max(cfg.WriteTimeout, 0)},
		Accept:   l.accept,
		Proxy:    l.proxyOptions(),
		MaxConns: cfg.MaxConns, MaxPerIP: cfg.MaxPerIP, ConnectRate: cfg.ConnectRate,
		Reserve: g.reserve,
	})
	if err != nil {
		return nil, err
	}
	l.upgrade.Loopback = loopback(l.ln.Addr())
	_, port, _ := net.SplitHostPort(l.ln.Addr().String())
	address, _, _ := strings.Cut(cfg.URL, "?")
	l.URL = strings.Replace(address, u.Host, net.JoinHostPort(u.Hostname(), port), 1)
	return l, nil
}

// accept makes the session of a connection. It runs on the accept goroutine.
func (l *listener) accept(netip.AddrPort) engine.Handler {
	<-l.ready
	return &session{lis: l}
}
