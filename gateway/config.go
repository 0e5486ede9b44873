package gateway

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Config says what a gateway is. Only Listeners is needed. No number may be negative.
type Config struct {
	// ID is the first part of every client id, and must differ from that of every other gateway the same workers serve: of two with the same one they serve one, and log an error. Defaults to a random number.
	ID uint32
	// Name is for logs, at most 200 bytes. Defaults to the host's name.
	Name string
	// Listeners are where clients connect.
	Listeners []ListenerConfig
	// WorkerAddr is the host:port where workers connect. Defaults to 127.0.0.1:0. Where a gateway listens
	// that drains, with the same Key and another ID, New takes the port over from it.
	WorkerAddr string
	// Advertise is the host:port where other gateways reach Inner. They link to it to pass on what is
	// done for clients of theirs. Defaults to the address that the workers have of it.
	Advertise string
	// Key is shared with the workers and proves both sides to each other. Without one only loopback peers are accepted.
	Key []byte
	// Loops is the number of event loops. Defaults to GOMAXPROCS; at most 255.
	Loops int
	// PinCPUs ties each loop to a processor.
	PinCPUs bool
	// Router makes the router of one loop. Defaults to LeastClients.
	Router func() Router
	// QueueTimeout is how long a client's messages wait for a worker before the client is told that they were refused. Defaults to 10 s.
	QueueTimeout time.Duration
	// MaxUnroutedBytes bounds the messages that wait while no worker is there, in bytes a loop; beyond it they are refused at once. Defaults to 64 MiB.
	MaxUnroutedBytes int
	// MaxQueueBytes bounds the messages that wait while a worker is there, in bytes a loop. Past it
	// clients of which one waits, or that send much, are not read until half of it is free or their
	// worker has credit for them, so that TCP holds them up. Nothing is refused. Defaults to 64 MiB.
	MaxQueueBytes int
	// MaxPartialBytes bounds the messages that have not come whole, in bytes a loop. Past it those that hold
	// most are cut until seven eighths of it are left: of the address that holds most (an IPv6 /64 counts
	// as one) the client that holds most, of equals the one that has taken longest. Behind a proxy all
	// clients have its address: then the client that holds most goes. The buffers that the messages are in
	// may be four times as large. Defaults to 64 MiB.
	MaxPartialBytes int
	// MaxTakeoverBytes lets clients compress with context takeover (RFC 7692 section 7.1.1.2) on listeners that Compress, and bounds what is kept for it, in bytes a loop: 32 KiB for each
	// client that it is agreed to with, as long as that is there. Past it, further clients are answered client_no_context_takeover, as all are by default: each message is then to be
	// compressed by itself, and nothing is kept. Defaults to 0. There are clients that compress with context takeover whatever they are answered: theirs are closed with 1007, and
	// told why.
	MaxTakeoverBytes int
	// MaxUnacked bounds what of one client no worker has acknowledged yet, in bytes; beyond it the client's reads pause. Defaults to 256 KiB.
	MaxUnacked int
	// MaxGroups and MaxGroupBytes bound the groups that one client is in: how many, at most 65,535, and
	// the bytes of their names, each of which counts as a multiple of 16, at most 1,048,560 together.
	// A JOIN beyond that has no effect; worker.Worker.Join tells the business. Default to 4,096 and
	// 256 KiB.
	MaxGroups, MaxGroupBytes int
	// MaxBuffered bounds what waits for clients that read slowly, in bytes a loop, where a message that may be dropped counts 16 to 64 bytes more; past it those with most
	// waiting are closed first. Defaults to 256 MiB.
	// Before that nobody else gets in: from three quarters of it on the loop is overloaded, until half of it is free. New clients go to other loops then, and where there is
	// none they are refused: a WebSocket, and a page, by 503, others by {"type":"sluice.overloaded"}. A loop that has been overloaded for 10 s closes those with most waiting
	// until it is not, so that who does not read keeps nobody out for longer.
	MaxBuffered int
	// MaxDeliveries is how many links may end with a message out, and unacknowledged, before it is set aside and its client told; a client whose coming is set aside, so that no Connect has returned, is closed. Within 3…255. Defaults to 5.
	// A link that its own worker has replaced does not count.
	// What came before it of the client and no worker has acknowledged is tried first: the first message of a new client, whose coming was out with it, uses up to three more.
	MaxDeliveries int
	// LinkHeartbeat is the longest silence on a link before a ping; after two the link is cut, so that a worker which hangs is noticed within three. Whole seconds, at most 65,535. Defaults to 1 s.
	LinkHeartbeat time.Duration
	// DrainDelay is how long new clients are still taken after the context of Serve has ended, while Ready, /readyz and /healthz say already that none should come: what a load balancer
	// takes to notice. Then the drain begins. Zero: at once.
	DrainDelay time.Duration
	// DrainTimeout is how long clients may take to go when the drain has begun; who is there still is then told at once, and cut a second later. Defaults to 10 s.
	DrainTimeout time.Duration
	// DrainRate is how many clients are told to go in a second when Serve ends, so that they do not all come to other gateways at once. Defaults to what tells all in half of
	// DrainTimeout, and at least 100.
	DrainRate int
	// Logger defaults to slog.Default(). Its handler is called on the event loops and must not block:
	// a loop serves nobody while it waits. The handlers of log/slog do block when what they write to
	// is a full pipe, and the process dies of SIGPIPE when standard error has no reader. The gateway
	// puts no queue of its own between, since only the program knows when to flush one.
	Logger *slog.Logger
}

// ListenerConfig is one address where clients of one protocol connect. No number may be negative where it does not say so.
type ListenerConfig struct {
	// URL is ws://, text://, json://, jsonl:// or frame:// with host:port; or tcp:// where there is a Codec. For ws a path may follow, on which WebSockets are opened: /chat is /chat
	// and /chat/, /chat/* these and all paths below, none is any. How a character is escaped makes no difference. Behind it ?subprotocol=NAME[,NAME] stands for Subprotocols.
	URL string
	// Codec is the wire format of a tcp:// URL. At most 16 listeners have one.
	Codec Codec
	// Origins are the hosts, besides the listener's own, whose pages may open a WebSocket: host, host:port, or with https:// or the like before it, and no path behind ("*.example.org" is any host
	// below example.org; https://chat.example/ is the same as without its slash). "*" lets every page in.
	Origins []string
	// Hosts are the names by which the listener's own pages are asked for: host or host:port, "*.example.org" for any host below example.org. Loopback names and Origins are always
	// among them. A page that was asked for by another name may not open a WebSocket, and is not served by Page (421): the name's owner may have made it lead here to get at what
	// the user's browser can reach (DNS rebinding). Empty: a listener on a loopback address goes by loopback names and Origins alone, any other one by every name.
	Hosts []string
	// Subprotocols are those spoken, best first: the first of them that a client names is agreed to, in whatever order the client names them (RFC 6455 section 4.2.2). A worker
	// sees which by worker.Request's Subprotocol. Where there is none in common the WebSocket is opened without one; browsers then fail it when they have named any.
	Subprotocols []string
	// Compress offers permessage-deflate.
	Compress bool
	// OnUpgrade may refuse an upgrade before the 101 by returning an HTTP status; 0 goes on. It runs on the loop and must not block.
	OnUpgrade func(*codec.Request) int
	// KeepHeaders are the header fields of a WebSocket's request that are kept as long as the client is there, for its workers (worker.Request), in any case of letters; "*" is all.
	// Nil: KeptHeaders. OnUpgrade sees the whole request whatever is kept.
	KeepHeaders []string
	// MaxRequest bounds what is kept of a WebSocket's request, in bytes: its target and the fields of KeepHeaders, and 4 bytes for each name and value in them. Where there is more
	// the WebSocket is refused with status 431. Defaults to 8 KiB. A request's head as a whole has at most 16 KiB.
	MaxRequest int
	// Page answers plain HTTP requests (GET, HEAD) on a ws listener, each on a goroutine of its own: 64 at a time, a further one gets 503. What it answers goes out as a whole when it has
	// returned, so an informational status (1xx) of its is left out. A body has at most 512 KiB;
	// Write fails beyond it, and the client gets 500. After 30 s the request's context ends and the connection is cut. A handler that goes on all the same keeps its place among
	// the 64 until it returns, and Serve waits for it. Nil: 426. Those for /livez, /readyz and /healthz the gateway answers itself,
	// with or without a Page, but for the one that is the URL's path.
	Page http.Handler
	// MaxMessage is the largest message from a client, in bytes. Defaults to 1 MiB; at most 16 MiB.
	MaxMessage int
	// MaxOutput bounds the bytes that wait for a client that reads slowly. One message alone may be larger. Defaults to 1 MiB.
	MaxOutput int
	// Overflow says what happens when MaxOutput is reached, where a message does not say it by itself. Defaults to closing the client.
	Overflow engine.Overflow
	// WriteTimeout is how long something may wait for a client that takes nothing before it is closed, whatever Overflow is. Defaults to 10 s; negative: for ever.
	WriteTimeout time.Duration
	// MaxConns and MaxPerIP bound the connections, in total and of one IPv4 address or IPv6 /64. Zero means no limit: as many as there are descriptors, some of which are
	// kept for workers. Behind a proxy all clients have its address.
	MaxConns, MaxPerIP int
	// ConnectRate is how many connections a second one IPv4 address or IPv6 /64 may open, and twice as many at once. Zero means no limit.
	ConnectRate int
	// MessageRate and ByteRate are how many messages and bytes a second a client may send, and those of two seconds at once. Of a compressed message the bytes count that it has when inflated. One that is faster is not read for a while, so that
	// TCP slows it down; nothing is lost. Zero means no limit.
	MessageRate, ByteRate int
	// HandshakeTimeout bounds the time until a WebSocket is open. Defaults to 10 s.
	HandshakeTimeout time.Duration
	// FirstMessageTimeout bounds the time until a client's first message. Zero means no limit, for a client may do nothing but listen.
	FirstMessageTimeout time.Duration
	// MessageTimeout bounds the time from a message's first byte to its last, with a second more for each 4 KiB of it. A client that is not read for a while since it
	// sends too fast has besides what the message takes at ByteRate; while the gateway takes nothing for reasons of its own the time stands still. Defaults to 30 s; negative: no limit.
	MessageTimeout time.Duration
	// Heartbeat is how often a client is looked at: one of which no message has come since the last time is pinged, and one to which nothing was written, so that no proxy takes
	// the connection for one that is not used: with a Ping, or a WebSocket, something is written within two heartbeats. Defaults to 25 s; negative: never.
	Heartbeat time.Duration
	// MaxMissedPings is how many pings in a row may stay unanswered before the client is closed: one that still takes what was written before them has answered. Within 1…255. Defaults to 2.
	MaxMissedPings int
	// Ping is the message that pings a client whose protocol has no ping of its own. Empty: such clients are only timed.
	Ping string
}

// owns is the number of listeners with a Codec.
func owns(listeners []ListenerConfig) (n int) {
	for i := range listeners {
		if listeners[i].Codec != nil {
			n++
		}
	}
	return n
}

// ConfigError is what New returns for a Config that cannot be, whatever the machine.
type ConfigError struct {
	Field string // of Config, Listeners[0].URL for example
	Err   error  // what is wrong with it
}

// Error names the field and says what is wrong.
func (e *ConfigError) Error() string { return "gateway: Config." + e.Field + ": " + e.Err.Error() }

// Unwrap is Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// ListenError is what New returns when it cannot listen where a Config says: the address is in use,
// or not one of this machine.
type ListenError struct {
	Field string // of Config: Inner, or Listeners[0].URL for example
	Addr  string // what it says
	Err   error
}

// Error names the address and says what is wrong.
func (e *ListenError) Error() string { return "gateway: listen on " + e.Addr + ": " + e.Err.Error() }

// Unwrap is Err.
func (e *ListenError) Unwrap() error { return e.Err }

func listenError(field, addr string, err error) error {
	return &ListenError{field, addr, inUse(err)}
}

// inUse says what to do when an address is in use.
func inUse(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: stop what listens there, or choose another port", err)
	}
	return err
}

func invalid(field, format string, args ...any) *ConfigError {
	return &ConfigError{field, fmt.Errorf(format, args...)}
}

func (c *Config) setDefaults() error {
	if c.ID == 0 {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		c.ID = binary.BigEndian.Uint32(b[:]) | 1
	}
	if field, err := valid.Numbers(c); err != nil {
		return &ConfigError{field, err}
	}
	c.WorkerAddr = cmp.Or(c.WorkerAddr, "127.0.0.1:0")
	c.QueueTimeout = cmp.Or(c.QueueTimeout, 10*time.Second)
	c.MaxUnroutedBytes = cmp.Or(c.MaxUnroutedBytes, 64<<20)
	c.MaxQueueBytes = cmp.Or(c.MaxQueueBytes, 64<<20)
	c.MaxPartialBytes = cmp.Or(c.MaxPartialBytes, 64<<20)
	c.MaxUnacked = cmp.Or(c.MaxUnacked, 256<<10)
	c.MaxGroups = cmp.Or(c.MaxGroups, link.DefaultGroups)
	c.MaxGroupBytes = cmp.Or(c.MaxGroupBytes, link.DefaultGroupBytes)
	c.MaxDeliveries = cmp.Or(c.MaxDeliveries, 5)
	c.LinkHeartbeat = cmp.Or(c.LinkHeartbeat, time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 10*time.Second)
	if c.Router == nil {
		c.Router = LeastClients
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if err := c.check(); err != nil {
		return err
	}
	c.Listeners = slices.Clone(c.Listeners) // the caller's stay as they are
	for i := range c.Listeners {
		if err := c.Listeners[i].setDefaults(); err != nil {
			err.Field = fmt.Sprintf("Listeners[%d].%s", i, err.Field)
			return err
		}
	}
	return nil
}

// check looks at what stands once the defaults are there, all but the listeners one by one.
func (c *Config) check() error {
	if len(c.Name) > link.MaxName {
		return invalid("Name", "%d bytes are too long, at most %d are sent to workers", len(c.Name), link.MaxName)
	}
	if c.Loops > maxLoops {
		return invalid("Loops", "%d is not between 0 and %d", c.Loops, maxLoops)
	}
	if len(c.Listeners) == 0 {
		return invalid("Listeners", "at least one is needed")
	}
	if n := owns(c.Listeners); n > maxOwn {
		return invalid("Listeners", "%d have a Codec, at most %d may", n, maxOwn)
	}
	if err := valid.HostPort(c.WorkerAddr); err != nil {
		return &ConfigError{"WorkerAddr", err}
	}
	if err := valid.HostPort(c.Advertise); c.Advertise != "" && err != nil {
		return &ConfigError{"Advertise", err}
	}
	if len(c.Advertise) > link.MaxName {
		return invalid("Advertise", "%d bytes are too long, at most %d are sent to workers", len(c.Advertise), link.MaxName)
	}
	if c.MaxGroups > link.MaxGroups {
		return invalid("MaxGroups", "%d is not between 0 and %d", c.MaxGroups, link.MaxGroups)
	}
	if c.MaxGroupBytes > link.MaxGroupBytes {
		return invalid("MaxGroupBytes", "%d is not between 0 and %d", c.MaxGroupBytes, link.MaxGroupBytes)
	}
	if c.MaxDeliveries <= suspectAfter || c.MaxDeliveries > 255 {
		return invalid("MaxDeliveries", "%d is not between 3 and 255", c.MaxDeliveries)
	}
	if c.LinkHeartbeat%time.Second != 0 || c.LinkHeartbeat > link.MaxHeartbeat {
		return invalid("LinkHeartbeat", "%v is not a number of whole seconds between 1 and %.0f", c.LinkHeartbeat, link.MaxHeartbeat.Seconds())
	}
	return nil
}

// maxLoops is what a client id has room for.
const maxLoops = 255

// negativeIsOff are the fields of a Listener that may be negative.
var negativeIsOff = []string{"WriteTimeout", "MessageTimeout", "Heartbeat"}

func (l *ListenerConfig) setDefaults() *ConfigError {
	if field, err := valid.Numbers(l, negativeIsOff...); err != nil {
		return &ConfigError{field, err}
	}
	l.MaxMessage = cmp.Or(l.MaxMessage, 1<<20)
	l.MaxOutput = cmp.Or(l.MaxOutput, 1<<20)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 10*time.Second)
	l.HandshakeTimeout = cmp.Or(l.HandshakeTimeout, 10*time.Second)
	l.MessageTimeout = cmp.Or(l.MessageTimeout, 30*time.Second)
	l.Heartbeat = cmp.Or(l.Heartbeat, 25*time.Second)
	l.MaxMissedPings = cmp.Or(l.MaxMissedPings, 2)
	if l.MaxMessage > link.MaxMessage {
		return invalid("MaxMessage", "%d is not between 0 and %d", l.MaxMessage, link.MaxMessage)
	}
	if err := l.checkHTTP(); err != nil {
		return err
	}
	if l.Overflow > engine.DropNewest {
		return invalid("Overflow", "%d is none of the policies", l.Overflow)
	}
	if l.MaxMissedPings > 255 {
		return invalid("MaxMissedPings", "%d is not between 0 and 255", l.MaxMissedPings)
	}
	scheme, rest, ok := strings.Cut(l.URL, "://")
	switch {
	case l.Codec != nil && scheme != "tcp":
		return invalid("Codec", "%q: only tcp:// has one", l.URL)
	case l.Codec == nil && (!ok || protocols[scheme] == nil):
		return invalid("URL", "%q does not begin with one of ws://, text://, json://, jsonl://, frame://%s", l.URL, suggestScheme(scheme, rest, ok))
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		return invalid("URL", "%w", err)
	}
	switch err := valid.Port(u.Port()); {
	case err != nil && u.Port() == "":
		return invalid("URL", "%q needs host:port: %s://%s for example", l.URL, scheme, net.JoinHostPort(u.Hostname(), "7272"))
	case err != nil:
		return invalid("URL", "%q: %w", l.URL, err)
	}
	if u.Scheme != "ws" && (u.Path != "" || u.RawQuery != "" || l.Page != nil || l.OnUpgrade != nil) {
		return invalid("URL", "%q: only ws has paths, pages, options and upgrades", l.URL)
	}
	return l.takeOptions(u)
}

// suggestScheme suggests what a URL that no listener has may have been meant as.
func suggestScheme(scheme, rest string, hasScheme bool) string {
	switch {
	case !hasScheme && scheme == "":
		return ""
	case !hasScheme:
		return fmt.Sprintf(": for WebSocket write ws://%s", scheme)
	}
	switch strings.ToLower(scheme) {
	case "wss", "https":
		return fmt.Sprintf(": TLS is for a proxy in front of the gateway, which listens on ws://%s", rest)
	case "http", "websocket", "ws":
		return fmt.Sprintf(": for WebSocket, and its page, write ws://%s", rest)
	case "tcp", "telnet", "line", "lines":
		return fmt.Sprintf(": for lines of text write text://%s (tcp:// is for a Codec of one's own)", rest)
	}
	return ""
}
