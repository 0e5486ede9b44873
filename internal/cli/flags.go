package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/certs"
)

// options are the flags of a gateway, a worker, or both.
type options struct {
	listenerOptions // of each listener that has none of its own

	log            *slog.Logger
	reload         <-chan os.Signal // SIGHUP
	config         configFile
	logs           logOptions
	reloads        []reloadable // what a reload of the configuration changes
	listen         []string
	gateway        gateway.Config // without what other fields here say
	reactors       string
	keyFile        string
	tls            tlsOptions
	drainTimeout   time.Duration
	worker         bool
	workers        int
	exitWithParent bool
	gateways       []string
	name           string
	weight         int
	window         int // of bench serve
	router         string
	tokens         tokens
	engine         engineOptions
	own            ownGateway // with --engine

	admin          string // host:port of the admin listener; empty: none
	adminTokenFile string
	publishRate    int                      // of the admin listener
	adminPair      certs.Pair               // of the admin listener
	workerFigures  workerCollector          // of the worker in this process
	envOfWorkers   atomic.Pointer[[]string] // variables of worker processes, from the file
	reloadAsked    chan chan<- bool         // requests to reload, beside SIGHUP; nil: none can come
	keepsChat      bool                     // the gateway has the chat's store
	data           string                   // directory of the store and of statistics; empty: they are in memory
	store          *store.Store
	stats          statsOptions
	statistics     *statistics // nil: nothing keeps them

	handlersHere bool // a worker runs in this process, beside the gateway

	ofGateway []string // names of flags
}

// clientFlags adds the flags about clients.
func (o *options) clientFlags(c *cobra.Command, listen ...string) {
	f, g := c.Flags(), &o.gateway
	f.StringArrayVar(&o.listen, "listen", listen,
		"`URL` where clients connect: ws://HOST:PORT[/PATH][?subprotocol=NAME], or text, json, jsonl "+
			"or frame://HOST:PORT; with TLS wss://, tls+text:// and so on; with ?proxy=required only by "+
			"--trust-proxy; repeatable")
	o.listenerFlags(f)
	o.tls.clientFlags(f)
	f.IntVar(&g.MaxTakeoverBytes, "max-takeover-bytes", 0,
		"`bytes` of compression contexts in each event loop, 32768 for a client; 0: no context "+
			"takeover")
	f.IntVar(&g.MaxGroups, "max-groups", 4096, "`groups` that one client may be in, at most 65535")
	f.IntVar(&g.MaxGroupBytes, "max-group-bytes", 256<<10,
		"`bytes` of their names, each counted as a multiple of 16, at most 1048560")
	o.bufferFlags(c)
	f.StringVar(&o.reactors, "reactors", "auto",
		"`number` of event loops; auto: one for each processor, one fewer if handlers run in this "+
			"process")
	f.BoolVar(&g.PinCPUs, "pin", false, "bind each event loop to a processor (Linux only)")
}

// bufferFlags adds the bounds of what waits in an event loop.
func (o *options) bufferFlags(c *cobra.Command) {
	f, g := c.Flags(), &o.gateway
	f.IntVar(&g.MaxBuffered, "max-buffered", 256<<20,
		"`bytes` of output that wait for all slow clients of an event loop; past it those with most "+
			"are closed, past three quarters new clients are rejected")
	f.IntVar(&g.MaxPartialBytes, "max-partial-bytes", 64<<20,
		"`bytes` of incomplete messages in each event loop; past it the clients with most are closed")
	f.IntVar(&g.MaxQueueBytes, "max-queue-bytes", 64<<20,
		"`bytes` of messages in each event loop that wait for a connected worker; past it clients "+
			"that send much are not read")
	f.IntVar(&g.MaxUnroutedBytes, "max-unrouted-bytes", 64<<20,
		"`bytes` of messages in each event loop that wait while there is no worker; past it they are "+
			"rejected")
}

// linkFlags adds the flags of a gateway and of a worker.
func (o *options) linkFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.keyFile, "key-file", "",
		"`file` with the key that gateways and workers share, 16 to 4096 bytes; without it only "+
			"workers on this machine are accepted")
	o.tls.linkFlags(f)
	o.engine.addFlags(f)
	f.DurationVar(&o.drainTimeout, "drain-timeout", 10*time.Second,
		"`time` for clients to go, or for a worker to finish its work")
	f.BoolVar(&o.exitWithParent, "exit-with-parent", false,
		"drain when standard input ends: the parent process has gone")
	_ = f.MarkHidden("exit-with-parent") // it is there
	c.SetFlagErrorFunc(flagError)
	c.SetUsageFunc(usageByTopic)
}

// workerFlags adds the flags of a worker.
func (o *options) workerFlags(c *cobra.Command) {
	c.Annotations = map[string]string{canReload: ""}
	f := c.Flags()
	f.BoolVar(&o.worker, "worker", false, "run a worker only")
	f.IntVar(&o.workers, "workers", 0,
		"`number` of worker processes that are started, restarted, and replaced one by one on "+
			"SIGHUP; 0: one worker in this process")
	f.StringSliceVar(&o.gateways, "gateway", []string{"127.0.0.1:2300"},
		"with --worker: `HOST:PORT`[,HOST:PORT] of gateways, their --inner, or names that are looked up: "+
			"dns://NAME:PORT (A and AAAA records), dns+srv://_SERVICE._PROTO.NAME (SRV records)")
	f.Var(&o.own, "own-gateway", "the parent's gateway: its address, and the one that others find in --engine")
	_ = f.MarkHidden("own-gateway") // it is there
	f.StringVar(&o.name, "name", "", "`name` of the worker in logs (default: the host's)")
	f.IntVar(&o.weight, "weight", 100, "`share` of new clients relative to other workers, 1 to 65535")
}

// gatewayFlags adds the flags of a gateway, and notes which they are: a worker alone has no use for
// them.
func (o *options) gatewayFlags(c *cobra.Command, inner string) {
	o.clientFlags(c, "ws://127.0.0.1:7272", "text://127.0.0.1:7273")
	f, g := c.Flags(), &o.gateway
	f.StringVar(&g.WorkerAddr, "inner", inner, "`HOST:PORT` where workers connect")
	f.StringVar(&g.Advertise, "advertise", "",
		"`HOST:PORT` where other gateways reach --inner, and with --engine workers too (default: the "+
			"address that workers use; with --engine that of --inner)")
	f.StringVar(&o.router, "router", "least",
		"`policy` that picks the worker of a new client: least (fewest clients for its weight), "+
			"round-robin, random (by weight), path (same first path segment, same worker)")
	f.IntVar(&g.Rebalance, "rebalance", 0,
		"`clients` a second that move to other workers after a worker has connected; 0: none move")
	f.IntVar(&g.AdoptRate, "adopt-rate", 0,
		"silent `clients` a second that other workers adopt when theirs ends or drains; 0: 10,000; "+
			"negative: they wait for their next message")
	f.DurationVar(&g.DrainDelay, "drain-delay", 0,
		"`time` that new clients are still accepted, while /readyz reports 503 to load balancers; 0: "+
			"none")
	f.IntVar(&g.DrainRate, "drain-rate", 0,
		"`clients` a second that are closed; 0: all within half of --drain-timeout, at least 100")
	o.tokens.addFlags(c.Flags())
	adminFlags(c, o)
	o.stats.addFlags(f)
	f.StringVar(&o.data, "data", "",
		"`directory` where statistics, and messages and names of the chat, are kept (default: in memory, until "+
			"this process ends; those of the chat in --engine, if there is one)")
	f.VisitAll(func(f *pflag.Flag) { o.ofGateway = append(o.ofGateway, f.Name) })
}

// noZeros refuses a 0 where it would stand for the default: a flag accepts 0 where that is its
// default, and its help says what it means.
func noZeros(f *pflag.FlagSet) (err error) {
	f.Visit(func(flag *pflag.Flag) {
		zero := map[string]string{"int": "0", "duration": "0s"}[flag.Value.Type()]
		if zero != "" && flag.Value.String() == zero && flag.DefValue != zero && err == nil {
			err = usageError{settingError{flag.Name, -1, fmt.Errorf("must not be 0 (default %s)", flag.DefValue)}}
		}
	})
	return err
}

// checkRole refuses flags that make no sense together, and logs those that have no effect.
func (o *options) checkRole(f *pflag.FlagSet) error {
	switch {
	case o.workers < 0:
		return usageError{fmt.Errorf("--workers: %d: must be at least 0", o.workers)}
	case o.weight < 1 || o.weight > 0xFFFF:
		return usageError{fmt.Errorf("--weight: %d: must be between 1 and 65535", o.weight)}
	case o.config.onCommandLine(f, "gateway") && !o.worker:
		return usageError{errors.New("--gateway needs --worker: without it the command runs a gateway itself")}
	case !o.worker:
		return nil
	}
	for _, name := range o.ofGateway {
		if o.config.onCommandLine(f, name) && !o.exitWithParent { // a supervised worker has its parent's command line
			o.log.Warn("flag has no effect with --worker", "flag", "--"+name)
		}
	}
	return checkGateways(o, f)
}

var routers = map[string]func() gateway.Router{
	"least":       gateway.LeastClients,
	"round-robin": gateway.RoundRobin,
	"random":      gateway.Random,
	"path":        gateway.Hash(gateway.KeyPath),
}

// flagOf returns the flag that sets a field of gateway.Config or worker.Config.
func flagOf(field string) string {
	field = field[strings.LastIndexByte(field, '.')+1:]
	flags := map[string]string{
		"URL": "listen", "Loops": "reactors", "ConnectRate": "connect-rate", "MessageRate": "message-rate",
		"ByteRate": "byte-rate", "WorkerAddr": "inner", "Advertise": "advertise", "MaxMessage": "max-message",
		"MaxRequest": "max-request", "KeepHeaders": "keep-header", "Hosts": "host", "Origins": "origin",
		"MaxOutput": "max-output", "MaxBuffered": "max-buffered", "MaxUnroutedBytes": "max-unrouted-bytes",
		"MaxPartialBytes": "max-partial-bytes", "MaxTakeoverBytes": "max-takeover-bytes",
		"Subprotocols": "listen", "TrustProxies": "trust-proxy", "ProxyHeaders": "proxy-header", "RequireProxy": "listen",
		"MaxQueueBytes": "max-queue-bytes", "MaxGroups": "max-groups",
		"MaxGroupBytes": "max-group-bytes", "MaxConns": "max-conns", "MaxPerIP": "max-per-ip",
		"HandshakeTimeout": "handshake-timeout", "FirstMessageTimeout": "first-message-timeout",
		"MessageTimeout": "message-timeout", "Heartbeat": "heartbeat", "WriteTimeout": "write-timeout",
		"Overflow": "overflow", "DrainTimeout": "drain-timeout", "DrainRate": "drain-rate",
		"Rebalance":        "rebalance",
		"AdoptRate":        "adopt-rate",
		"MaxTLSHandshakes": "max-tls-handshakes", "TLSHandshakeRate": "tls-handshake-rate", "TLS": "tls-cert",
		"DrainDelay": "drain-delay", "Gateways": "gateway", "Name": "name", "Weight": "weight", "Window": "window",
	}
	if flag, ok := flags[field]; ok {
		return "--" + flag
	}
	return field
}
