package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/spare"
	"github.com/seed-7410fe32/sluice/internal/valid"
	"github.com/seed-7410fe32/sluice/worker"
)

// options are what the command line says of a gateway, a worker, or both.
type options struct {
	log            *slog.Logger
	reload         <-chan os.Signal // replaces the workers of --workers
	listen         []string
	origins        []string
	hosts          []string
	keep           []string
	compress       bool
	limits         gateway.ListenerConfig // of each listener
	overflow       string
	buffered       int
	held           int
	queued         int
	partial        int
	takeover       int
	groups         int
	names          int
	window         int
	reactors       string
	pin            bool
	inner          string
	advertise      string
	keyFile        string
	delay          time.Duration
	drainFor       time.Duration
	pace           int
	idle           time.Duration
	worker         bool
	workers        int
	exitWithParent bool
	gateways       []string
	name           string
	weight         int
	router         string

	handlersHere bool // a worker runs in this process, beside the gateway

	ofGateway []string // names of flags
}

func (o *options) clientFlags(c *cobra.Command, listen ...string) {
	f := c.Flags()
	f.StringArrayVar(&o.listen, "listen", listen, "where clients connect: ws://HOST:PORT[/path][?subprotocol=NAME,…] text:// json:// jsonl:// frame://; a path that ends in /* is for all paths below it; repeatable. Of json and frame each message stands behind its length, four bytes, big-endian, which counts itself: 00 00 00 09 68 65 6c 6c 6f is hello")
	f.StringArrayVar(&o.origins, "origin", nil, "a host, besides the listener's own, whose pages may open a WebSocket: HOST, HOST:PORT, https://HOST, with a / behind it or without, *.DOMAIN; repeatable")
	f.StringArrayVar(&o.hosts, "host", nil, "a name of the listeners themselves, HOST, HOST:PORT or *.DOMAIN; their pages are served and may open WebSockets only by these and by loopback names (default: on a loopback address loopback names and --origin, else any name); repeatable")
	f.StringArrayVar(&o.keep, "keep-header", nil, "a header field of a WebSocket's request that workers see, besides "+strings.Join(gateway.KeptHeaders(), ", ")+"; * is all; repeatable")
	f.IntVar(&o.limits.MaxRequest, "max-request", 8<<10, "what is kept of a WebSocket's request as long as it is open, target and kept header fields, in bytes; past it 431")
	f.BoolVar(&o.compress, "compress", true, "offer permessage-deflate")
	f.IntVar(&o.takeover, "max-takeover-bytes", 0, "let clients compress with context takeover: what may be kept for it of all clients of an event loop, in bytes, 32768 each; past it, and with 0, they are to compress each message by itself")
	o.limitFlags(c)
	o.slowFlags(c)
	f.StringVar(&o.reactors, "reactors", "auto",
		"event loops: a number, or auto for one per processor, and one fewer where handlers run in this process")
	f.BoolVar(&o.pin, "pin", false, "tie each event loop to a processor")
}

// limitFlags are what bounds a client of any listener.
func (o *options) limitFlags(c *cobra.Command) {
	f, l := c.Flags(), &o.limits
	f.IntVar(&l.MaxMessage, "max-message", 1<<20, "largest message from a client, in bytes; at most 16777216")
	f.IntVar(&o.partial, "max-partial-bytes", 64<<20, "messages that have not come whole, of all clients of an event loop, in bytes; past it those that hold most are cut")
	f.IntVar(&o.groups, "max-groups", 4096, "groups that one client may be in; at most 65535")
	f.IntVar(&o.names, "max-group-bytes", 256<<10, "names of the groups that one client may be in, in bytes, each a multiple of 16; at most 1048560")
	f.IntVar(&l.MaxConns, "max-conns", 0, "connections of a listener; 0: as many as there are descriptors, less some for workers")
	f.IntVar(&l.MaxPerIP, "max-per-ip", 0, "connections of a listener from one IPv4 address or IPv6 /64; 0: no limit")
	f.IntVar(&l.ConnectRate, "connect-rate", 0, "connections a second from one IPv4 address or IPv6 /64; 0: no limit")
	f.IntVar(&l.MessageRate, "message-rate", 0, "messages a second from one client, which is slowed down past it; 0: no limit")
	f.IntVar(&l.ByteRate, "byte-rate", 0, "bytes a second from one client, of compressed messages as they are when inflated; it is slowed down past it; 0: no limit")
	f.DurationVar(&l.HandshakeTimeout, "handshake-timeout", 10*time.Second, "time until a WebSocket is open")
	f.DurationVar(&l.FirstMessageTimeout, "first-message-timeout", 0, "time until a client's first message; 0: it may do nothing but listen")
	f.DurationVar(&l.MessageTimeout, "message-timeout", 30*time.Second, "time from a message's first byte to its last, with a second more for each 4 KiB; negative: no limit")
	f.DurationVar(&l.Heartbeat, "heartbeat", 25*time.Second, "how often a WebSocket that has sent no message since the last time, or was sent none, is pinged; after two unanswered pings it is closed; negative: never")
	f.DurationVar(&o.idle, "idle-timeout", 10*time.Minute, "how long a client of another protocol may be silent, since it cannot be pinged: it is closed then, or up to a third of that later; negative: never")
}

// slowFlags are what becomes of a client that reads slowly.
func (o *options) slowFlags(c *cobra.Command) {
	f, l := c.Flags(), &o.limits
	f.IntVar(&l.MaxOutput, "max-output", 1<<20, "what may wait for a client that reads slowly, in bytes; one message alone may be larger")
	f.StringVar(&o.overflow, "overflow", "close", "what to do with a message that does not fit: close the client, or drop the oldest or the newest")
	f.DurationVar(&l.WriteTimeout, "write-timeout", 10*time.Second, "close a client that takes nothing for so long while something waits; negative: never")
	f.IntVar(&o.buffered, "max-buffered", 256<<20, "what may wait for all clients of an event loop, in bytes, with 16 to 64 for each message that may be dropped; at three quarters nobody else gets in, past it those with most are closed")
}

// innerFlags are those of a gateway and of a worker.
func (o *options) innerFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.keyFile, "key-file", "", "file or pipe with the shared key of the inner links, 16 bytes to 4 KiB; without it only loopback peers are accepted")
	f.DurationVar(&o.drainFor, "drain-timeout", 10*time.Second, "how long clients may take to go, or a worker to finish what it has taken, after SIGTERM")
	c.SetFlagErrorFunc(flagError)
	f.BoolVar(&o.exitWithParent, "exit-with-parent", false, "drain when standard input ends: whoever started this process is gone")
	_ = f.MarkHidden("exit-with-parent") // it is there
}

func (o *options) workerFlags(c *cobra.Command) {
	c.Annotations = map[string]string{canReload: ""}
	f := c.Flags()
	f.BoolVar(&o.worker, "worker", false, "run a worker alone")
	f.IntVar(&o.workers, "workers", 0, "run so many workers in processes of their own, start those again that die, and replace them one by one on SIGHUP")
	f.StringSliceVar(&o.gateways, "gateway", []string{"127.0.0.1:2300"}, "with --worker: the inner addresses of the gateways, HOST:PORT[,…]")
	f.StringVar(&o.name, "name", "", "the worker's name in logs (default: the host's)")
	f.IntVar(&o.weight, "weight", 100, "the worker's share of new clients, against that of others; 1 to 65535")
}

// gatewayFlags adds those of a gateway, and notes which they are: a worker alone has no use for them.
func (o *options) gatewayFlags(c *cobra.Command, inner string) {
	o.clientFlags(c, "ws://127.0.0.1:7272", "text://127.0.0.1:7273")
	c.Flags().StringVar(&o.inner, "inner", inner, "HOST:PORT where workers connect")
	c.Flags().StringVar(&o.advertise, "advertise", "", "HOST:PORT where other gateways reach --inner (default: the address that workers have of it)")
	c.Flags().StringVar(&o.router, "router", "least", "the worker that a new client gets: least (fewest clients for its weight), round-robin, random (by weight), or path (one for each first segment of a WebSocket's path)")
	c.Flags().IntVar(&o.held, "max-unrouted-bytes", 64<<20, "messages that wait while no worker is there, of all clients of an event loop, in bytes; past it they are refused")
	c.Flags().IntVar(&o.queued, "max-queue-bytes", 64<<20, "messages that wait while a worker is there, of all clients of an event loop, in bytes; past it clients that send much are not read")
	c.Flags().DurationVar(&o.delay, "drain-delay", 0, "how long new clients are still taken after SIGTERM, while /readyz says 503: what a load balancer takes to notice; 0: the drain begins at once")
	c.Flags().IntVar(&o.pace, "drain-rate", 0, "clients a second that are told to go after SIGTERM; 0: all within half of --drain-timeout, at least 100")
	c.Flags().VisitAll(func(f *pflag.Flag) { o.ofGateway = append(o.ofGateway, f.Name) })
}

// noZeros refuses a 0 where it would stand for the default: a flag takes 0 where that is its default, and its help says what it means.
func noZeros(f *pflag.FlagSet) (err error) {
	f.Visit(func(flag *pflag.Flag) {
		zero := map[string]string{"int": "0", "duration": "0s"}[flag.Value.Type()]
		if zero != "" && flag.Value.String() == zero && flag.DefValue != zero && err == nil {
			err = usageError{fmt.Errorf("--%s: 0 is too little (default %s)", flag.Name, flag.DefValue)}
		}
	})
	return err
}

// checkRole refuses what has no meaning in the role that was asked for, and points to what has no effect.
func (o *options) checkRole(f *pflag.FlagSet) error {
	switch {
	case o.workers < 0:
		return usageError{fmt.Errorf("--workers: %d is less than 0", o.workers)}
	case o.weight < 1 || o.weight > 0xFFFF:
		return usageError{fmt.Errorf("--weight: %d is not between 1 and 65535", o.weight)}
	case f.Changed("gateway") && !o.worker:
		return usageError{errors.New("--gateway is for --worker: without it this is a gateway of its own")}
	case !o.worker || o.exitWithParent: // a supervised worker has its parent's command line
		return nil
	}
	for _, name := range o.ofGateway {
		if f.Changed(name) {
			o.log.Warn("a worker alone has no clients: the flag has no effect", "flag", "--"+name)
		}
	}
	for _, addr := range o.gateways {
		if err := valid.HostPort(addr); err != nil {
			return usageError{fmt.Errorf("--gateway: %w (workers dial what a gateway has as --inner, not where clients connect)", err)}
		}
	}
	return nil
}

// pageOn makes the page of a listener whose WebSockets are opened on a path; nil: there is no page.
type pageOn func(path string) http.Handler

// serve runs what the flags ask for: the business alone, or a gateway and the business together.
func (o *options) serve(c *cobra.Command, business func() (worker.Handler, error), page pageOn) error {
	outliveReaders()
	if err := cmp.Or(noZeros(c.Flags()), o.checkRole(c.Flags())); err != nil {
		return err
	}
	ctx := c.Context()
	go spare.ReturnMemory(ctx)
	key, err := o.key()
	if err != nil {
		return err
	}
	if o.worker {
		addrs := make([]string, len(o.gateways))
		for i, a := range o.gateways {
			addrs[i] = "gateway://" + a
		}
		return o.work(ctx, business, key, o.gateways, func() { o.announce(addrs) })
	}
	o.handlersHere = o.workers == 0
	g, err := o.newGateway(key, page)
	if err != nil {
		return err
	}
	// The gateway drains before the workers go, so that nothing taken is left unanswered.
	gatewayCtx, stopGateway := context.WithCancel(ctx)
	workerCtx, stopWorkers := context.WithCancel(context.WithoutCancel(ctx))
	var both errgroup.Group
	both.Go(func() error {
		defer stopWorkers()
		return g.Serve(gatewayCtx)
	})
	both.Go(func() error {
		defer stopGateway()
		return o.work(workerCtx, business, key, []string{g.WorkerAddr()}, func() { o.announce(append(g.Addrs(), "inner://"+g.WorkerAddr())) })
	})
	return both.Wait()
}

// work runs the business until ctx ends: as a worker in this process or, with --workers, in processes of their own. up is called when all links are up.
func (o *options) work(ctx context.Context, business func() (worker.Handler, error), key []byte, gateways []string, up func()) error {
	if o.workers > 0 {
		return o.superviseWorkers(ctx, gateways, up)
	}
	h, err := business()
	if err != nil {
		return err
	}
	w, err := o.newWorker(h, key, gateways)
	if err != nil {
		return err
	}
	if o.exitWithParent {
		go followParent()
	}
	go func() {
		<-w.Ready()
		up()
	}()
	return w.Run(ctx)
}

func (o *options) serveGateway(c *cobra.Command, page pageOn) error {
	outliveReaders()
	go spare.ReturnMemory(c.Context())
	key, err := o.key()
	if err != nil {
		return err
	}
	g, err := o.newGateway(key, page)
	if err != nil {
		return err
	}
	if o.exitWithParent {
		go followParent()
	}
	o.announce(append(g.Addrs(), "inner://"+g.WorkerAddr()))
	return g.Serve(c.Context())
}

// announce prints the one line that says that everything listens. Nobody waits for it: standard
// output may be a pipe that is full, or one whose reader is gone.
func (o *options) announce(addrs []string) {
	go func() {
		if _, err := fmt.Println("ready", strings.Join(addrs, " ")); err != nil {
			o.log.Warn("the ready line was not written", "err", err)
		}
	}()
}

// outliveReaders has a write to a standard output or error whose reader is gone fail, where it
// would end the process. SIGPIPE is caught and not ignored, for what is ignored here would be
// ignored in processes that are started from here too.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// listeners are those of the flags.
func (o *options) listeners(page pageOn) (all []gateway.ListenerConfig) {
	for _, url := range o.listen {
		l := o.limits
		l.URL = url
		if strings.HasPrefix(url, "ws://") {
			l.Origins, l.Hosts, l.Compress = o.origins, o.hosts, o.compress
			l.KeepHeaders = append(gateway.KeptHeaders(), o.keep...)
			if page != nil {
				l.Subprotocols = []string{"chat"} // what its browsers may call it
				l.Page = page(pathOf(url))
			}
		} else {
			l.Heartbeat = o.idle / (idleMisses + 1) // closed when the last of them is over
			l.MaxMissedPings = idleMisses
		}
		all = append(all, l)
	}
	return all
}

// pathOf is the path of a ws listener's URL, the shortest one if there are several; empty: any.
func pathOf(listen string) string {
	address, _, _ := strings.Cut(strings.TrimPrefix(listen, "ws://"), "?")
	_, path, found := strings.Cut(address, "/")
	if path = strings.TrimSuffix(path, "*"); !found || path == "" && strings.HasSuffix(address, "*") {
		return ""
	}
	return "/" + path
}

func (o *options) newGateway(key []byte, page pageOn) (*gateway.Gateway, error) {
	cfg := gateway.Config{WorkerAddr: o.inner, Advertise: o.advertise, Key: key, PinCPUs: o.pin, DrainDelay: o.delay, DrainTimeout: o.drainFor, DrainRate: o.pace, MaxBuffered: o.buffered, MaxUnroutedBytes: o.held, MaxPartialBytes: o.partial, MaxTakeoverBytes: o.takeover, MaxQueueBytes: o.queued, MaxGroups: o.groups, MaxGroupBytes: o.names, Logger: o.log}
	switch o.overflow {
	case "close":
		o.limits.Overflow = engine.CloseSlow
	case "oldest":
		o.limits.Overflow = engine.DropOldest
	case "newest":
		o.limits.Overflow = engine.DropNewest
	default:
		return nil, usageError{fmt.Errorf("--overflow: %q is none of close, oldest, newest", o.overflow)}
	}
	var known bool
	if cfg.Router, known = routers[o.router]; !known {
		return nil, usageError{fmt.Errorf("--router: %q is none of least, round-robin, random, path", o.router)}
	}
	if o.reactors != "auto" {
		n, err := strconv.Atoi(o.reactors)
		if err != nil || n < 1 {
			return nil, usageError{fmt.Errorf("--reactors: %q is neither auto nor a number from 1", o.reactors)}
		}
		cfg.Loops = n
	} else if o.handlersHere {
		// A loop waits in the kernel with a processor of Go's in hand, which the runtime takes back late: with none left for handlers a message took 5 ms.
		cfg.Loops = max(runtime.GOMAXPROCS(0)-1, 1)
	}
	cfg.Listeners = o.listeners(page)
	g, err := gateway.New(cfg)
	if err == nil && page != nil {
		for _, addr := range g.Addrs() {
			if web, ok := strings.CutPrefix(addr, "ws://"); ok {
				host, _, _ := strings.Cut(web, "/")
				o.log.Info("the chat's page", "address", "http://"+host)
			}
		}
	}
	if bad, ok := errors.AsType[*gateway.ConfigError](err); ok {
		return nil, usageError{fmt.Errorf("%s: %w", flagOf(bad.Field), bad.Err)}
	}
	if bad, ok := errors.AsType[*gateway.ListenError](err); ok {
		return nil, fmt.Errorf("%s %s: %w", flagOf(bad.Field), bad.Addr, bad.Err)
	}
	return g, err
}

var routers = map[string]func() gateway.Router{
	"least": gateway.LeastClients, "round-robin": gateway.RoundRobin, "random": gateway.Random, "path": gateway.Hash(gateway.KeyPath),
}

// idleMisses is how many parts --idle-timeout has, less one: a client is closed when it was silent for so long, or a part more.
const idleMisses = 2

// flagOf is the flag that fills a field of gateway.Config or worker.Config.
func flagOf(field string) string {
	field = field[strings.LastIndexByte(field, '.')+1:]
	flags := map[string]string{
		"URL": "listen", "Loops": "reactors", "ConnectRate": "connect-rate", "MessageRate": "message-rate", "ByteRate": "byte-rate", "WorkerAddr": "inner", "Advertise": "advertise",
		"MaxMessage": "max-message", "MaxRequest": "max-request", "KeepHeaders": "keep-header", "Hosts": "host", "Origins": "origin",
		"MaxOutput": "max-output", "MaxBuffered": "max-buffered", "MaxUnroutedBytes": "max-unrouted-bytes",
		"MaxPartialBytes": "max-partial-bytes", "MaxTakeoverBytes": "max-takeover-bytes", "Subprotocols": "listen", "MaxQueueBytes": "max-queue-bytes", "MaxGroups": "max-groups", "MaxGroupBytes": "max-group-bytes", "MaxConns": "max-conns", "MaxPerIP": "max-per-ip",
		"HandshakeTimeout": "handshake-timeout", "FirstMessageTimeout": "first-message-timeout", "MessageTimeout": "message-timeout", "Heartbeat": "heartbeat", "WriteTimeout": "write-timeout",
		"Overflow": "overflow", "DrainTimeout": "drain-timeout", "DrainRate": "drain-rate", "DrainDelay": "drain-delay",
		"Gateways": "gateway", "Name": "name", "Weight": "weight",
	}
	if flag, ok := flags[field]; ok {
		return "--" + flag
	}
	return field
}

func (o *options) newWorker(h worker.Handler, key []byte, gateways []string) (*worker.Worker, error) {
	w, err := worker.New(worker.Config{Gateways: gateways, Key: key, Name: o.name, Weight: o.weight, Build: version(), DrainTimeout: o.drainFor, Logger: o.log}, h)
	if bad, ok := errors.AsType[*worker.ConfigError](err); ok {
		return nil, usageError{fmt.Errorf("%s: %w", flagOf(bad.Field), bad.Err)}
	}
	return w, err
}
