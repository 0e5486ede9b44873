package cli

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/gateway"
)

// listenerOptions are the flags of a listener. In a file each listener may have its own.
type listenerOptions struct {
	origins  []string
	hosts    []string
	keep     []string
	trust    []string // proxies
	tell     []string // header fields of proxies
	compress bool
	limits   gateway.ListenerConfig // without what other fields here say
	overflow string
	idle     time.Duration
}

// listenerFlags adds the flags of a listener. A file may set each of them for one listener too.
func (o *listenerOptions) listenerFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.origins, "origin", nil,
		"`HOST` whose pages may open WebSockets: HOST, HOST:PORT, https://HOST, *.DOMAIN or *; "+
			"repeatable (default: the listener's own)")
	f.StringArrayVar(&o.hosts, "host", nil,
		"`HOST` by which pages are requested: HOST, HOST:PORT or *.DOMAIN; repeatable (default: any; "+
			"on a loopback address loopback names and --origin)")
	f.StringArrayVar(&o.keep, "keep-header", nil,
		"`NAME` of one more header field of a WebSocket's request that workers see; * for all; "+
			"repeatable")
	f.StringSliceVar(&o.trust, "trust-proxy", nil,
		"`CIDR`[,CIDR] of proxies that may name their clients, in a PROXY header or a request; "+
			"repeatable (default: none)")
	f.StringSliceVar(&o.tell, "proxy-header", []string{"X-Forwarded-For", "Forwarded", "X-Real-IP"},
		"`NAME`[,NAME] of the header fields in which --trust-proxy names the client; the first that is "+
			"there counts")
	f.BoolVar(&o.limits.Authenticate, "authenticate", false,
		"let WebSockets wait for a worker with Handler.Authenticate")
	f.IntVar(&o.limits.MaxRequest, "max-request", 8<<10,
		"`bytes` of a WebSocket's request that workers see; larger requests get status 431")
	f.BoolVar(&o.compress, "compress", true, "offer permessage-deflate")
	o.limitFlags(f)
	o.timeFlags(f)
	f.IntVar(&o.limits.MaxOutput, "max-output", 1<<20,
		"`bytes` of output that wait for one slow client; a single message may be larger")
	f.StringVar(&o.overflow, "overflow", "close",
		"`policy` past --max-output: close the client, or drop its oldest or newest message")
}

// limitFlags adds the limits of a client and of a listener.
func (o *listenerOptions) limitFlags(f *pflag.FlagSet) {
	l := &o.limits
	f.IntVar(&l.MaxMessage, "max-message", 1<<20, "`bytes` of a message from a client, at most 16777216")
	f.IntVar(&l.MessageRate, "message-rate", 0,
		"`messages` a second from one client, which is slowed down past it; 0: no limit")
	f.IntVar(&l.ByteRate, "byte-rate", 0,
		"`bytes` a second from one client, after decompression; it is slowed down past it; 0: no "+
			"limit")
	f.IntVar(&l.MaxConns, "max-conns", 0, "`connections` of a listener; 0: limited by file descriptors")
	f.IntVar(&l.MaxPerIP, "max-per-ip", 0,
		"`connections` of a listener from one IPv4 address or IPv6 /64; 0: no limit")
	f.IntVar(&l.ConnectRate, "connect-rate", 0,
		"`connections` a second from one IPv4 address or IPv6 /64; 0: no limit")
	f.IntVar(&l.MaxTLSHandshakes, "max-tls-handshakes", 1024,
		"TLS `handshakes` of a listener at a time; past it the oldest one of the address with most is ended")
	f.IntVar(&l.TLSHandshakeRate, "tls-handshake-rate", 0,
		"TLS `handshakes` of a listener that begin in a second; further connections are closed; 0: no limit")
}

// timeFlags adds the timeouts of a client.
func (o *listenerOptions) timeFlags(f *pflag.FlagSet) {
	l := &o.limits
	f.DurationVar(&l.HandshakeTimeout, "handshake-timeout", 10*time.Second,
		"`time` for the opening handshake of a WebSocket, and for a TLS handshake before it")
	f.DurationVar(&l.FirstMessageTimeout, "first-message-timeout", 0,
		"`time` until a client's first message; 0: no limit")
	f.DurationVar(&l.MessageTimeout, "message-timeout", 30*time.Second,
		"`time` from a message's first byte to its last, plus 1 s for each 4 KiB; negative: no limit")
	f.DurationVar(&l.WriteTimeout, "write-timeout", 10*time.Second,
		"`time` that output waits for a client that reads nothing, which is closed then; negative: "+
			"no limit")
	f.DurationVar(&l.Heartbeat, "heartbeat", 25*time.Second,
		"`interval` of pings to idle WebSockets, which are closed after 2 unanswered ones; negative: "+
			"never")
	f.DurationVar(&o.idle, "idle-timeout", 10*time.Minute,
		"`time` that a client of another protocol may be silent, up to a third more; negative: no "+
			"limit")
}

// idleMisses is how many intervals --idle-timeout has, less one. A client is closed when it has
// been silent for all of them, or one more.
const idleMisses = 2

// overflows are the values of --overflow.
var overflows = map[string]engine.Overflow{
	"close": engine.CloseSlow, "oldest": engine.DropOldest, "newest": engine.DropNewest,
}

// listener returns the listener of a URL. page makes its page; nil means none.
func (o *listenerOptions) listener(url string, page pageOn) (gateway.ListenerConfig, error) {
	l := o.limits
	l.URL, l.TrustProxies = url, o.trust
	var known bool
	if l.Overflow, known = overflows[o.overflow]; !known {
		return l, settingError{"overflow", -1, fmt.Errorf("%q: must be close, oldest or newest", o.overflow)}
	}
	if _, _, ok := webSocketURL(url); !ok {
		l.Heartbeat = max(o.idle/(idleMisses+1), 1) // the client is closed when the last one is over
		if o.idle < 0 {
			l.Heartbeat = -1 // never
		}
		l.MaxMissedPings, l.Authenticate = idleMisses, false
		return l, nil
	}
	l.Origins, l.Hosts, l.Compress, l.ProxyHeaders = o.origins, o.hosts, o.compress, o.tell
	l.KeepHeaders = append(gateway.KeptHeaders(), o.keep...)
	if page != nil {
		l.Subprotocols = []string{"chat"} // what its browsers may call it
		l.Page = page(pathOf(url))
	}
	return l, nil
}

// listenersOf returns the listeners of the flags and of the file.
func listenersOf(o *options, page pageOn) (all []gateway.ListenerConfig, err error) {
	for i, url := range o.listen {
		own, err := o.config.ownOptions(i, o.listenerOptions)
		if err != nil {
			return nil, ofItem(i, err)
		}
		l, err := own.listener(url, page)
		if err != nil {
			return nil, ofItem(i, err)
		}
		if isSecured(url) {
			l.TLS = o.tls.listenerConfig()
		}
		all = append(all, l)
	}
	return all, nil
}

// pageOn makes the page of a listener whose WebSockets are opened on a path. Nil means no page.
type pageOn func(path string) http.Handler

// pathOf returns the path of a WebSocket listener's URL, the shortest one if there are several.
// Empty means any.
func pathOf(listen string) string {
	rest, _, _ := webSocketURL(listen)
	address, _, _ := strings.Cut(rest, "?")
	_, path, found := strings.Cut(address, "/")
	if path = strings.TrimSuffix(path, "*"); !found || path == "" && strings.HasSuffix(address, "*") {
		return ""
	}
	return "/" + path
}
