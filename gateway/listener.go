package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

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

// listener is one open Listener with its settings. UpdateListeners makes another one with the same
// socket for the clients that come later.
type listener struct {
	// Static after listenClients.
	ListenerConfig // URL has the actual port and no options
	g              *Gateway
	ln             *engine.Listener
	codec          messageCodec // nil: WebSocket
	encoding       uint8        // of an own Codec
	path           upgradePath  // of a WebSocket
	proxies        proxies      // bound: none, static
	upgrade        codec.UpgradeOptions
	ready          chan struct{} // closed when all of the above is set
	// latest is what the next clients get. It is shared by all listeners of a socket. Nil: that of
	// the start.
	latest *atomic.Pointer[listener]
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
	l := &listener{ListenerConfig: cfg, g: g, encoding: encoding, path: newUpgradePath(u.EscapedPath()),
		ready: make(chan struct{}), latest: new(atomic.Pointer[listener])}
	defer close(l.ready)
	l.configure()
	l.ln, err = g.engine.Listen("tcp", u.Host, l.options())
	if err != nil {
		return nil, err
	}
	l.upgrade.Loopback = loopback(l.ln.Addr())
	_, port, _ := net.SplitHostPort(l.ln.Addr().String())
	address, _, _ := strings.Cut(cfg.URL, "?")
	l.URL = strings.Replace(address, u.Host, net.JoinHostPort(u.Hostname(), port), 1)
	return l, nil
}

// configure sets what follows from the settings.
func (l *listener) configure() {
	if l.Codec != nil {
		l.codec = own{l.Codec, l.MaxMessage, l.encoding}
	} else {
		protocol, _ := protocolOf(l.URL)
		l.codec = protocols[protocol](l.MaxMessage)
	}
	l.proxies, _ = newProxies(l.TrustProxies) // setDefaults has checked them
	if l.upgrades() {
		l.upgrade = codec.UpgradeOptions{Origins: l.Origins, Hosts: l.Hosts, Subprotocols: l.Subprotocols,
			MaxMessage: l.MaxMessage}
		if l.TokenSubprotocol != "" {
			l.upgrade.Subprotocols = append(slices.Clone(l.Subprotocols), l.TokenSubprotocol)
		}
		if l.Compress {
			l.upgrade.Deflate = codec.NewDeflate()
		}
	}
}

// options returns the options of the engine's listener.
func (l *listener) options() engine.ListenOptions {
	return engine.ListenOptions{
		Conn: engine.ConnOptions{MaxInput: l.MaxMessage + handshakeRoom, MaxOutput: l.MaxOutput,
			Overflow: l.Overflow, WriteTimeout: max(l.WriteTimeout, 0)},
		Accept:   l.accept,
		Proxy:    l.proxyOptions(),
		MaxConns: l.MaxConns, MaxPerIP: l.MaxPerIP, ConnectRate: l.ConnectRate,
		TLS:     l.tlsOptions(),
		Reserve: l.g.reserve,
	}
}

// tlsOptions returns the TLS options of the listener, or nil if it has no TLS.
func (l *listener) tlsOptions() *engine.TLSOptions {
	if l.TLS == nil {
		return nil
	}
	return &engine.TLSOptions{
		Config: l.TLS, HandshakeTimeout: l.HandshakeTimeout,
		MaxHandshakes: l.MaxTLSHandshakes, HandshakeRate: l.TLSHandshakeRate,
	}
}

// accept makes the session of a connection. It runs on the accept goroutine.
func (l *listener) accept(netip.AddrPort) engine.Handler {
	<-l.ready
	if latest := l.latest.Load(); latest != nil {
		l = latest
	}
	return &session{lis: l}
}

// ErrNotReady is returned by UpdateListeners before Ready is closed.
var ErrNotReady = errors.New("gateway: not ready")

// UpdateListeners replaces the settings of listeners while the gateway runs, for example their
// limits and origins. Each config belongs to the listener that was made from the same URL.
// Listeners without a config stay as they are. The settings apply to clients that connect from then
// on; clients that are connected keep those that they began with. Any goroutine may call it.
//
// All configs are checked before the first one is applied. An error is ErrNotReady or a
// *ConfigError; then nothing has changed.
func (g *Gateway) UpdateListeners(configs []ListenerConfig) error {
	if !g.isReady() {
		return ErrNotReady
	}
	configs = slices.Clone(configs) // the caller's stay as they are
	at := make([]int, len(configs))
	for i := range configs {
		if at[i] = listenerOf(g.cfg.Listeners, configs[:i], configs[i].URL); at[i] < 0 {
			return invalid(fmt.Sprintf("Listeners[%d].URL", i), "%q is not a listener of this gateway", configs[i].URL)
		}
		// A listener is told from the others by its URL alone.
		configs[i].Codec = g.cfg.Listeners[at[i]].Codec
		if err := configs[i].setDefaults(); err != nil {
			err.Field = fmt.Sprintf("Listeners[%d].%s", i, err.Field)
			return err
		}
	}
	for i, cfg := range configs {
		if err := g.listeners[at[i]].update(cfg); err != nil {
			return fmt.Errorf("gateway: update of %s: %w", cfg.URL, err) // not after the checks above
		}
	}
	return nil
}

// SetAccessLog replaces Config.AccessLog and Config.AccessLogSample while the gateway runs. They
// apply to connections that are accepted from then on. Any goroutine may call it.
func (g *Gateway) SetAccessLog(to *slog.Logger, sample int) {
	g.access.Store(&accessSettings{to: to, sample: sample})
}

// listenerOf returns the index of the listener with a URL among all, or -1. If several have it,
// because they have port 0, it is the one for the next config after those in before.
func listenerOf(all, before []ListenerConfig, url string) int {
	skip := 0
	for i := range before {
		if before[i].URL == url {
			skip++
		}
	}
	for i := range all {
		if all[i].URL == url {
			if skip == 0 {
				return i
			}
			skip--
		}
	}
	return -1
}

// update makes a listener with other settings for the clients that connect from now on.
func (l *listener) update(cfg ListenerConfig) error {
	next := &listener{ListenerConfig: cfg, g: l.g, ln: l.ln, encoding: l.encoding, path: l.path, ready: l.ready,
		latest: l.latest}
	next.URL = l.URL
	next.configure()
	next.upgrade.Loopback = l.upgrade.Loopback
	if err := l.ln.Update(next.options()); err != nil {
		return err
	}
	l.latest.Store(next)
	return nil
}
