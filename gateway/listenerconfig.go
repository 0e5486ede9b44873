package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// ListenerConfig configures one address where clients of one protocol connect. Only URL is
// required. A number of 0 means the default. A negative number turns a limit off where the field
// says so, and is refused elsewhere.
type ListenerConfig struct {
	// URL is the protocol and the host:port: ws://, text://, json://, jsonl:// or frame://, or
	// tcp:// with a Codec. With TLS it is wss://, tls+text:// and so on; what is said of ws:// holds
	// for wss:// too. Port 0 picks a free port. A ws:// URL may have a path: WebSockets are opened
	// there only. /chat means /chat and /chat/, /chat/* also all paths below, no path means any.
	// Percent encoding makes no difference. The option ?subprotocol=NAME[,NAME] sets Subprotocols,
	// and ?proxy=required, of any protocol, RequireProxy.
	URL string
	// TrustProxies are the proxies in front of the listener: addresses, or networks in CIDR form.
	// They may say where their client is, in a header of the PROXY protocol (version 1 or 2), which
	// is optional, or in a field of ProxyHeaders. The last address there that is not a trusted
	// proxy's counts. It is the client's address in logs and limits, for OnUpgrade and for workers,
	// with port 0 if the proxy names none. MaxPerIP and ConnectRate do not apply to the proxies
	// themselves. What others say is ignored. A trusted proxy that sends nothing for 2 s has no
	// header. Do not trust a proxy that passes on a client's own bytes or fields as its own.
	TrustProxies []string
	// RequireProxy accepts connections of TrustProxies with a PROXY header only. The header must
	// come within HandshakeTimeout.
	RequireProxy bool
	// ProxyHeaders are the header fields of a WebSocket's or page's request in which TrustProxies
	// name their clients: X-Forwarded-For, Forwarded (RFC 7239), X-Real-IP, or fields of the form of
	// X-Forwarded-For. The first that is there counts. Defaults to these three, in this order. Set
	// it to the one field that your proxies set if they pass on the others as clients send them.
	// ws:// only.
	ProxyHeaders []string
	// TLS has the certificates of a wss:// or tls+...:// URL. Its GetConfigForClient can change
	// them while the gateway runs. Clients must select http/1.1 if both sides have protocols (ALPN,
	// RFC 7301).
	TLS *tls.Config
	// MaxTLSHandshakes bounds the listener's TLS handshakes at a time. When there are so many, the
	// oldest one of the address that has most (an IPv6 /64 is one address) is ended when it has
	// taken 250 ms; until then further connections wait in the kernel. Each may take
	// HandshakeTimeout. Defaults to 1,024.
	MaxTLSHandshakes int
	// TLSHandshakeRate bounds the listener's TLS handshakes that begin in a second, and at once.
	// Further connections are closed. Defaults to 0, no limit; negative means the same.
	TLSHandshakeRate int
	// Codec is the wire format of a tcp:// URL. At most 16 listeners of a gateway have one.
	Codec Codec
	// Origins are the hosts whose pages may open a WebSocket, besides the listener's own: host,
	// host:port or https://host, without a path. *.example.org means any host below example.org. *
	// means every page. ws:// only.
	Origins []string
	// Hosts are the names that the listener's own pages have: host or host:port, *.example.org for
	// any host below example.org. Loopback names and Origins are always included. A page that was
	// requested by another name may not open a WebSocket, and Page is not served by it (status
	// 421): this prevents DNS rebinding. Defaults to any name; on a loopback address to loopback
	// names and Origins only. ws:// only.
	Hosts []string
	// Subprotocols are the WebSocket subprotocols, best first. The first one that a client offers
	// is selected, whatever the client's order (RFC 6455 section 4.2.2). Without a common one the
	// WebSocket is opened without a subprotocol; browsers that have offered one then close it.
	// Workers see the selected one in worker.Request. ws:// only.
	Subprotocols []string
	// Compress enables permessage-deflate (RFC 7692). Other protocols than ws:// ignore it.
	Compress bool
	// OnUpgrade decides whether a WebSocket is opened, and says who its client is. It sees the
	// whole request, after the checks of URL, Origins and MaxRequest. The worker has the Identity
	// before it receives the client. An error refuses the WebSocket: Refuse with a status of its
	// choice, any other error and a panic with status 500, which are logged.
	//
	// OnUpgrade runs on a goroutine of its own and may block. At most 256 calls run at a time for
	// each loop; further upgrades wait. HandshakeTimeout covers the wait and the call: then the
	// client gets status 503. The context is canceled then, and when the client has gone or the
	// gateway drains. Run waits for calls that have not returned. Nil means every WebSocket is
	// opened. ws:// only.
	OnUpgrade func(ctx context.Context, r *http.Request) (Identity, error)
	// Authenticate makes WebSockets wait for the answer of a worker that has
	// worker.Handler.Authenticate. Without it they do so from the first time that such a worker has
	// connected. It has no effect with OnUpgrade. The calls run, wait and time out as those of
	// OnUpgrade do. ws:// only.
	Authenticate bool
	// OnRefresh checks the token that a client with an Identity sends in a text message of the form
	// {"type":"sluice.refresh","token":"..."}, of at most 16 KiB. No worker sees the message. The new
	// Identity must have the UID of the first one. Its Attrs are set, others stay, and Expires counts
	// from then on. The client receives {"type":"sluice.refreshed","expires":1767225600}, without
	// expires if it never expires. After an error it receives
	// {"type":"sluice.refresh_rejected","detail":"..."}, with the text of Refuse, and stays until its
	// Identity expires. Calls run as those of OnUpgrade do, one at a time for each client. Nil means
	// that such messages go to the worker. ws:// only.
	OnRefresh func(ctx context.Context, token string) (Identity, error)
	// TokenSubprotocol is selected if the client offers it and none of Subprotocols. The client
	// offers its token after it, for OnUpgrade to find: a browser can set no header field but the
	// subprotocols. ws:// only.
	TokenSubprotocol string
	// MaskQuery are the query parameters of a WebSocket's request whose values neither workers nor a
	// Router see. They have *** instead. ws:// only.
	MaskQuery []string
	// KeepHeaders are the header fields of a WebSocket's request that workers see in
	// worker.Request, in any letter case. * means all. They are kept in memory until the client has
	// gone. Defaults to KeptHeaders. ws:// only.
	KeepHeaders []string
	// MaxRequest bounds what is kept of a WebSocket's request, in bytes: its target and the fields
	// of KeepHeaders, and 4 bytes for each name and value. A larger request is refused with status
	// 431. Defaults to 8 KiB. The whole head of a request has at most 16 KiB in any case.
	MaxRequest int
	// Page answers plain HTTP requests (GET, HEAD). Each runs on a goroutine of its own. At most 64
	// run at a time; further requests get status 503. The response is sent when the handler has
	// returned, without informational statuses (1xx). Its body has at most 512 KiB: further writes
	// fail and the client gets status 500. After 30 s the request's context is canceled and the
	// connection is closed; Run waits for the handler. The gateway answers /livez, /readyz and
	// /healthz itself, unless that is the URL's path. Nil means status 426 for all others. ws://
	// only.
	Page http.Handler
	// MaxMessage bounds a message from a client, in bytes, at most 16 MiB. A client that sends a
	// larger one is closed. Defaults to 1 MiB.
	MaxMessage int
	// MaxOutput bounds the bytes that wait for a slow client. A single message may be larger.
	// Defaults to 1 MiB.
	MaxOutput int
	// Overflow is what happens at MaxOutput, unless the message says it. Defaults to
	// engine.CloseSlow, which closes the client.
	Overflow engine.Overflow
	// WriteTimeout is how long output may wait for a client that reads nothing before the client is
	// closed, whatever Overflow is. Defaults to 10 s; negative means no limit.
	WriteTimeout time.Duration
	// MaxConns bounds the listener's connections. Further ones are closed at once. Defaults to 0,
	// no limit other than file descriptors, of which some are reserved for workers; negative means
	// the same.
	MaxConns int
	// MaxPerIP bounds the listener's connections from one IPv4 address or IPv6 /64. Clients behind
	// a proxy that is not in TrustProxies have its address. Defaults to 0, no limit; negative means
	// the same.
	MaxPerIP int
	// ConnectRate bounds the new connections a second from one IPv4 address or IPv6 /64, with a
	// burst of twice as many. Defaults to 0, no limit; negative means the same.
	ConnectRate int
	// MessageRate bounds the messages a second of one client, with a burst of two seconds. A faster
	// client is not read for a while; nothing is lost. Defaults to 0, no limit; negative means the
	// same.
	MessageRate int
	// ByteRate bounds the bytes a second of one client, as MessageRate does messages. Compressed
	// messages count with their size after decompression. Defaults to 0, no limit; negative means
	// the same.
	ByteRate int
	// HandshakeTimeout is how long a WebSocket's opening handshake may take, and a TLS handshake
	// before it. Defaults to 10 s.
	HandshakeTimeout time.Duration
	// FirstMessageTimeout is how long a client's first message may take. Defaults to 0, no limit,
	// since a client may only listen; negative means the same.
	FirstMessageTimeout time.Duration
	// MessageTimeout is how long a message may take from its first byte to its last, plus 1 s for
	// each 4 KiB of it. A client that is slowed down by ByteRate has the time that the message
	// takes at that rate. While the gateway does not read for reasons of its own the time does not
	// run. Defaults to 30 s; negative means no limit.
	MessageTimeout time.Duration
	// Heartbeat is the interval at which clients are checked. A client that has sent no message
	// since the last check, or was sent none, is pinged, so that proxies do not take the connection
	// for idle. Defaults to 25 s; negative means never.
	Heartbeat time.Duration
	// MaxMissedPings is how many pings in a row may stay unanswered before the client is closed, at
	// most 255. A client that has taken output written before a ping has answered it. Defaults to
	// 2.
	MaxMissedPings int
	// Ping is the message that pings a client whose protocol has no ping. Empty means that such
	// clients are not pinged, and closed when they are silent for too long.
	Ping string
}

// customCodecs is the number of listeners with a Codec.
func customCodecs(listeners []ListenerConfig) (n int) {
	for i := range listeners {
		if listeners[i].Codec != nil {
			n++
		}
	}
	return n
}

// offBelowZeroListener are the fields of a ListenerConfig that may be negative.
var offBelowZeroListener = []string{
	"WriteTimeout", "MaxConns", "MaxPerIP", "ConnectRate", "MessageRate", "ByteRate",
	"FirstMessageTimeout", "MessageTimeout", "Heartbeat", "TLSHandshakeRate",
}

func (l *ListenerConfig) setDefaults() *ConfigError {
	if field, err := valid.Numbers(l, offBelowZeroListener...); err != nil {
		return &ConfigError{field, err}
	}
	l.MaxMessage = cmp.Or(l.MaxMessage, 1<<20)
	l.MaxOutput = cmp.Or(l.MaxOutput, 1<<20)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 10*time.Second)
	l.HandshakeTimeout = cmp.Or(l.HandshakeTimeout, 10*time.Second)
	l.MessageTimeout = cmp.Or(l.MessageTimeout, 30*time.Second)
	l.Heartbeat = cmp.Or(l.Heartbeat, 25*time.Second)
	l.MaxMissedPings = cmp.Or(l.MaxMissedPings, 2)
	l.MaxTLSHandshakes = cmp.Or(l.MaxTLSHandshakes, 1024)
	for _, limit := range []*int{&l.MaxConns, &l.MaxPerIP, &l.ConnectRate, &l.MessageRate, &l.ByteRate,
		&l.TLSHandshakeRate} {
		*limit = max(*limit, 0)
	}
	l.FirstMessageTimeout = max(l.FirstMessageTimeout, 0)
	if l.MaxMessage > link.MaxMessage {
		return invalid("MaxMessage", "%d: must be between 1 and %d", l.MaxMessage, link.MaxMessage)
	}
	if l.Overflow > engine.DropNewest {
		return invalid("Overflow", "%d: must be engine.CloseSlow, DropOldest or DropNewest", l.Overflow)
	}
	if l.MaxMissedPings > 255 {
		return invalid("MaxMissedPings", "%d: must be between 1 and 255", l.MaxMissedPings)
	}
	if err := l.checkURL(); err != nil {
		return err
	}
	l.MaxRequest = cmp.Or(l.MaxRequest, 8<<10)
	if l.KeepHeaders == nil {
		l.KeepHeaders = KeptHeaders()
	}
	if err := l.checkProxies(); err != nil {
		return err
	}
	return l.checkHTTP()
}

// checkHTTP checks the fields about HTTP requests.
func (l *ListenerConfig) checkHTTP() *ConfigError {
	for i, name := range l.Subprotocols {
		switch {
		case !codec.IsToken(name):
			return invalid("Subprotocols", "%q is not the name of a subprotocol", name)
		case slices.Contains(l.Subprotocols[:i], name):
			return invalid("Subprotocols", "%q is there twice", name)
		}
	}
	if l.TokenSubprotocol != "" && !codec.IsToken(l.TokenSubprotocol) {
		return invalid("TokenSubprotocol", "%q is not the name of a subprotocol", l.TokenSubprotocol)
	}
	for _, name := range l.KeepHeaders {
		switch {
		case !codec.IsToken(name):
			return invalid("KeepHeaders", "%q is not the name of a header field", name)
		case holds(upgradeHeaders, name):
			return invalid("KeepHeaders", "%q is about the connection to the gateway, and is never kept", name)
		}
	}
	for _, host := range l.Hosts {
		if !isPlainHost(strings.TrimPrefix(host, "*.")) {
			return invalid("Hosts", "%q is neither host nor host:port, for example chat.example or *.chat.example", host)
		}
	}
	for _, origin := range l.Origins {
		host := origin
		if _, rest, ok := strings.Cut(origin, "://"); ok {
			host = rest
		}
		if origin != "*" && !isPlainHost(strings.TrimPrefix(strings.TrimSuffix(host, "/"), "*.")) {
			return invalid("Origins", "%q is not an origin: write chat.example, chat.example:8443, "+
				"https://chat.example (no path), *.chat.example, or * for every page", origin)
		}
	}
	return nil
}

// protocolOf returns the protocol of a listener's URL without TLS, and whether it has TLS.
func protocolOf(url string) (protocol string, secured bool) {
	scheme, _, _ := strings.Cut(url, "://")
	if scheme == "wss" {
		return "ws", true
	}
	if protocol, secured = strings.CutPrefix(scheme, "tls+"); protocol == "ws" && secured {
		return scheme, false // it has a name of its own
	}
	return protocol, secured
}
