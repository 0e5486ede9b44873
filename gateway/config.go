package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Config configures a Gateway. Only Listeners is required. A number of 0 means the default. A
// negative number is refused, except for AdoptRate, DrainDelay and MaxTakeoverBytes.
//
// Bounds "for each loop" hold for each event loop by itself. A gateway with 4 loops uses at most
// four times as much.
type Config struct {
	// ID is the first part of every client id. Gateways that share workers must have different ids.
	// Of two gateways with the same id a worker serves one and logs an error. With a Directory, Run
	// leases the id, so that no two have the same. Defaults to a random number.
	ID uint32
	// Name is the gateway's name in logs, at most 200 bytes. Defaults to the name of the host.
	Name string
	// Listeners are the addresses where clients connect.
	Listeners []ListenerConfig
	// WorkerAddr is the host:port where workers connect. Port 0 picks a free port. Defaults to
	// 127.0.0.1:0. When a gateway with the same Key and another ID listens there and drains, Run
	// takes the port over from it.
	WorkerAddr string
	// Advertise is the host:port where other gateways reach WorkerAddr, at most 200 bytes. They
	// connect to it to pass on commands about their own clients. With a Directory the workers find it
	// there and connect to it too. Defaults to the address that the workers use; with a Directory to
	// WorkerAddr, which must have a host then that others can connect to.
	Advertise string
	// Directory is what gateways and workers share to find each other, made by directory.Open. Run
	// leases the ID there before it listens; until the directory answers, it waits. Later outages
	// cost nothing: clients and links go on, and the gateway takes its lease again. Defaults to none:
	// workers have to know the gateway's address. The caller closes the Directory after Run.
	Directory directory.Directory
	// Key authenticates gateway and workers to each other. It has at least 16 bytes. Without a key
	// only workers on this machine are accepted.
	Key []byte
	// LinkTLS makes the links to workers and other gateways TLS connections, besides the Key. Both
	// sides of a link must have it. Nil means that nothing is encrypted.
	LinkTLS *LinkTLS
	// Loops is the number of event loops, at most 255. Defaults to GOMAXPROCS, or 255 if that is
	// more.
	Loops int
	// PinCPUs binds each loop to a processor (Linux only).
	PinCPUs bool
	// Router makes the Router of one loop. Run calls it once for each loop. Defaults to
	// LeastClients.
	Router func() Router
	// QueueTimeout is how long a message waits while there is no worker. Then it is rejected and
	// its client is notified. Defaults to 10 s.
	QueueTimeout time.Duration
	// MaxUnroutedBytes bounds the messages that wait while there is no worker, in bytes for each
	// loop. Further messages are rejected and their clients are notified. Defaults to 64 MiB.
	MaxUnroutedBytes int
	// MaxQueueBytes bounds the messages that wait for a worker that is connected, in bytes for each
	// loop. Past it, clients that have messages waiting or send much are not read, until half of it
	// is free or their worker has credit for them. Nothing is rejected. Defaults to 64 MiB.
	MaxQueueBytes int
	// MaxPartialBytes bounds the messages that have not arrived completely, in bytes for each loop.
	// Past it clients are closed until seven eighths are left: of the address that holds most (an
	// IPv6 /64 counts as one) the client that holds most, of equals the one that has taken longest.
	// Clients behind a proxy that is not in TrustProxies have its address. The buffers that hold the
	// messages may be four times as large. Defaults to 64 MiB.
	MaxPartialBytes int
	// MaxTakeoverBytes lets clients compress with context takeover (RFC 7692 section 7.1.1.2) on
	// listeners with Compress. It bounds the windows kept for them, in bytes for each loop: 32 KiB
	// for each such client until it has gone. Past it clients get client_no_context_takeover and
	// compress each message by itself. A client that uses context takeover all the same is closed
	// with code 1007. Defaults to 0, no context takeover; negative means the same.
	MaxTakeoverBytes int
	// MaxUnacked bounds the messages of one client that no worker has acknowledged, in bytes. Past
	// it the client is not read. Defaults to 256 KiB.
	MaxUnacked int
	// MaxGroups bounds the groups that one client is in, at most 65,535. A join past it has no
	// effect; worker.Worker.Join returns an error. Defaults to 4,096.
	MaxGroups int
	// MaxGroupBytes bounds the names of the groups that one client is in, in bytes, at most
	// 1,048,560. Each name counts as a multiple of 16. A join past it has no effect. Defaults to
	// 256 KiB.
	MaxGroupBytes int
	// MaxBuffered bounds the output that waits for slow clients, in bytes for each loop. A message
	// that may be dropped counts 16 to 64 bytes more. Past it the clients with most waiting are
	// closed. From three quarters of it until half of it is free the loop is overloaded: new
	// clients go to other loops. If all are overloaded, WebSockets and pages get status 503, other
	// clients {"type":"sluice.overloaded"}. A loop that has been overloaded for 10 s closes the
	// clients with most waiting until it is not. Defaults to 256 MiB.
	MaxBuffered int
	// MaxDeliveries is how many links may end while a message is unacknowledged on them, between
	// 3 and 255. Then the message is a dead letter: it is given up, and its client is notified. A
	// link that its own worker has replaced does not count. From the third on, a link that breaks
	// does not count either if the same worker process then opens another link, before
	// MaxDeliveries are reached, and ten times MaxDeliveries in all. So with 3 all count, and so do
	// links that end because nothing was received for two heartbeats. A client whose connecting, or
	// adoption by another worker, is a dead letter is closed. Older unacknowledged events of the
	// client are tried first, so the first message of a new client may use up to three links more.
	// Defaults to 5.
	MaxDeliveries int
	// LinkHeartbeat is how long a link may be silent before a ping. After two intervals the link is
	// closed, so a worker that hangs is detected within three. Whole seconds, at most 65,535.
	// Defaults to 1 s.
	LinkHeartbeat time.Duration
	// DrainDelay is how long new clients are still accepted after the context of Run has ended,
	// while Draining, /readyz and /healthz already report the drain. Load balancers need this time
	// to notice. Defaults to 0, no delay; negative means the same.
	DrainDelay time.Duration
	// DrainTimeout is how long the drain lets clients finish. Then the remaining clients receive
	// the reason at once, and are closed a second later. Defaults to 10 s.
	DrainTimeout time.Duration
	// DrainRate is how many clients a second are closed during the drain, so that they do not all
	// reconnect to other gateways at once. Defaults to the rate that closes all of them in half of
	// DrainTimeout, and at least 100.
	DrainRate int
	// Rebalance is how many clients a second are moved to other workers after a worker has
	// connected, until each worker has its share: with Hash and with Routers of your own, until each
	// client is where Pick sends it. A client moves when its worker has handled all its messages, so
	// none is lost, repeated or overtaken. Defaults to 0: clients stay with their workers.
	Rebalance int
	// AdoptRate is how many silent clients a second this gateway gives to other workers, all loops
	// together, after their worker has ended or drains. Those workers adopt them
	// (worker.Handler.Adopt). A client that sends a message or disconnects does not wait. Of the
	// others LoopStats.AdoptionsWaiting counts those that wait. Defaults to 10,000. Negative: a client
	// is given to a worker when it sends a message or disconnects.
	AdoptRate int
	// OnInvoke answers worker.Worker.Invoke: with it the workers share state that is kept in the
	// gateway's process. The payload is OnInvoke's own, of at most 1 MiB. The answer is sent as it
	// is, at most 1 MiB. The worker gets the text of an error; it is logged and counted
	// (InvocationErrors).
	//
	// Each call runs on a goroutine of its own and may block. At most 1,024 calls with 16 MiB of
	// payloads run at a time for each loop; further ones are refused (InvocationsRejected). After 5 s
	// ctx ends. A call that goes on nevertheless keeps its place. Run waits for it. OnInvoke must not
	// keep an answer that it has returned.
	OnInvoke func(ctx context.Context, payload []byte) ([]byte, error)
	// SharedInvoke says that OnInvoke acts on the same state in all gateways that have it set. Workers
	// call the first gateway nevertheless, and the next one while they have no link to that.
	SharedInvoke bool
	// OnStats gets the reports of workers about their calls: how many there were of which kind, how
	// long they took, and what the failures said. Each worker sends one every second in which there
	// were calls, and the next one when OnStats has returned nil for it. Return nil when the report
	// is kept. After an error the worker sends it again, perhaps to another gateway, so OnStats may
	// get a report twice. A report is OnStats' own, of at most 1 MiB. Errors are counted
	// (ReportErrors) and logged. Nil means that workers send none.
	//
	// Each call runs on a goroutine of its own and may block. At most 64 calls with 16 MiB of reports
	// run at a time for each loop; further reports are refused (ReportsRejected) and come again. After
	// 5 s ctx ends. A call that goes on nevertheless keeps its place. Run waits for it.
	OnStats func(ctx context.Context, report []byte) error
	// Logger is the log. It is called on the event loops and must not block: the loop serves no
	// client meanwhile. The handlers of log/slog block when they write to a pipe that nobody reads,
	// and the process is killed by SIGPIPE when standard error has no reader. Defaults to
	// slog.Default().
	Logger *slog.Logger
	// AccessLog gets a line for each connection of a client when it ends: message "access", level
	// info. It is called on the event loops and must not block. The line has no query, no header
	// field and no message. Defaults to none.
	AccessLog *slog.Logger
	// AccessLogSample is of how many connections one gets a line in AccessLog, chosen at random.
	// Defaults to 1, every connection.
	AccessLogSample int
}

// LinkTLS configures TLS between gateways and workers. Both fields are required.
type LinkTLS struct {
	// Server is for the connections that the gateway accepts. Set its ClientAuth to
	// tls.RequireAndVerifyClientCert, with the ClientCAs: the peers then need a certificate.
	Server *tls.Config
	// Client is for the connections that the gateway dials, to other gateways. Without a ServerName
	// the host of the address is verified.
	Client *tls.Config
}

// maxLoops is the number of loops that a client id can name.
const maxLoops = 255

// offBelowZero are the fields of a Config that may be negative.
var offBelowZero = []string{"AdoptRate", "DrainDelay", "MaxTakeoverBytes"}

func (c *Config) setDefaults() error {
	if c.ID == 0 {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		c.ID = binary.BigEndian.Uint32(b[:]) | 1
	}
	if field, err := valid.Numbers(c, offBelowZero...); err != nil {
		return &ConfigError{field, err}
	}
	c.Loops = cmp.Or(c.Loops, min(runtime.GOMAXPROCS(0), maxLoops))
	c.WorkerAddr = cmp.Or(c.WorkerAddr, "127.0.0.1:0")
	c.QueueTimeout = cmp.Or(c.QueueTimeout, 10*time.Second)
	c.MaxUnroutedBytes = cmp.Or(c.MaxUnroutedBytes, 64<<20)
	c.MaxQueueBytes = cmp.Or(c.MaxQueueBytes, 64<<20)
	c.MaxPartialBytes = cmp.Or(c.MaxPartialBytes, 64<<20)
	c.MaxTakeoverBytes = max(c.MaxTakeoverBytes, 0)
	c.MaxUnacked = cmp.Or(c.MaxUnacked, 256<<10)
	c.MaxGroups = cmp.Or(c.MaxGroups, link.DefaultGroups)
	c.MaxGroupBytes = cmp.Or(c.MaxGroupBytes, link.DefaultGroupBytes)
	c.MaxDeliveries = cmp.Or(c.MaxDeliveries, 5)
	c.AccessLogSample = cmp.Or(c.AccessLogSample, 1)
	c.LinkHeartbeat = cmp.Or(c.LinkHeartbeat, time.Second)
	c.AdoptRate = cmp.Or(c.AdoptRate, defaultAdoptRate)
	c.DrainDelay = max(c.DrainDelay, 0)
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

// check checks the fields after the defaults are set, except the listeners one by one.
func (c *Config) check() error {
	if len(c.Name) > link.MaxName {
		return invalid("Name", "%d bytes: must be at most %d", len(c.Name), link.MaxName)
	}
	if c.Loops > maxLoops {
		return invalid("Loops", "%d: must be between 1 and %d", c.Loops, maxLoops)
	}
	if len(c.Listeners) == 0 {
		return invalid("Listeners", "must have at least one")
	}
	if n := customCodecs(c.Listeners); n > maxOwn {
		return invalid("Listeners", "%d with a Codec: must be at most %d", n, maxOwn)
	}
	if c.LinkTLS != nil && (c.LinkTLS.Server == nil || c.LinkTLS.Client == nil) {
		return invalid("LinkTLS", "must have both Server and Client")
	}
	if err := valid.HostPort(c.WorkerAddr); err != nil {
		return &ConfigError{"WorkerAddr", err}
	}
	if err := valid.HostPort(c.Advertise); c.Advertise != "" && err != nil {
		return &ConfigError{"Advertise", err}
	}
	if len(c.Advertise) > link.MaxName {
		return invalid("Advertise", "%d bytes: must be at most %d", len(c.Advertise), link.MaxName)
	}
	if c.Directory != nil {
		if err := c.checkAdvertised(); err != nil {
			return err
		}
	}
	if err := valid.Key(c.Key); err != nil {
		return &ConfigError{"Key", err}
	}
	if c.MaxGroups > link.MaxGroups {
		return invalid("MaxGroups", "%d: must be between 1 and %d", c.MaxGroups, link.MaxGroups)
	}
	if c.MaxGroupBytes > link.MaxGroupBytes {
		return invalid("MaxGroupBytes", "%d: must be between 1 and %d", c.MaxGroupBytes, link.MaxGroupBytes)
	}
	if c.MaxDeliveries <= delivery.SuspectAfter || c.MaxDeliveries > 255 {
		return invalid("MaxDeliveries", "%d: must be between %d and 255", c.MaxDeliveries, delivery.SuspectAfter+1)
	}
	if c.LinkHeartbeat%time.Second != 0 || c.LinkHeartbeat > link.MaxHeartbeat {
		return invalid("LinkHeartbeat", "%v: must be whole seconds between 1 and %.0f", c.LinkHeartbeat,
			link.MaxHeartbeat.Seconds())
	}
	return nil
}
