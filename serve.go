package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sluice/engine"
	"sluice/gateway"
	"sluice/worker"
)

// options are what the command line says of a gateway, a worker, or both.
type options struct {
	log      *slog.Logger
	listen   []string
	origins  []string
	compress bool
	limits   gateway.Listener // of each listener
	overflow string
	buffered int
	reactors string
	pin      bool
	inner    string
	keyFile  string
	drainFor time.Duration
	pace     int
	worker   bool
	workers  int
	leash    bool
	gateways []string
	name     string
}

func (o *options) clientFlags(c *cobra.Command, listen ...string) {
	f := c.Flags()
	f.StringArrayVar(&o.listen, "listen", listen, "where clients connect: ws://HOST:PORT[/path] text:// json:// jsonl:// frame://; repeatable")
	f.StringArrayVar(&o.origins, "origin", nil, "a host, besides the listener's own, whose pages may open a WebSocket; repeatable")
	f.BoolVar(&o.compress, "compress", true, "offer permessage-deflate")
	o.limitFlags(c)
	o.slowFlags(c)
	f.StringVar(&o.reactors, "reactors", "auto", "event loops: a number, or auto for one per processor")
	f.BoolVar(&o.pin, "pin", false, "tie each event loop to a processor")
}

// limitFlags are what bounds a client of any listener.
func (o *options) limitFlags(c *cobra.Command) {
	f, l := c.Flags(), &o.limits
	f.IntVar(&l.MaxMessage, "max-message", 1<<20, "largest message from a client, in bytes; at most 16777216")
	f.IntVar(&l.MaxConns, "max-conns", 0, "connections of a listener; 0: as many as there are descriptors, less some for workers")
	f.IntVar(&l.MaxPerIP, "max-per-ip", 0, "connections of a listener from one IPv4 address or IPv6 /64; 0: no limit")
	f.IntVar(&l.PerIPRate, "connect-rate", 0, "connections a second from one IPv4 address or IPv6 /64; 0: no limit")
	f.IntVar(&l.MaxRate, "message-rate", 0, "messages a second from one client, which is slowed down past it; 0: no limit")
	f.IntVar(&l.MaxByteRate, "byte-rate", 0, "bytes a second from one client, which is slowed down past it; 0: no limit")
	f.DurationVar(&l.HandshakeTimeout, "handshake-timeout", 10*time.Second, "time until a WebSocket is open")
	f.DurationVar(&l.FirstMessage, "first-message", 0, "time until a client's first message; 0: it may do nothing but listen")
	f.DurationVar(&l.MessageTimeout, "message-timeout", 30*time.Second, "time from a message's first byte to its last, with a second more for each 4 KiB")
}

// slowFlags are what becomes of a client that reads slowly.
func (o *options) slowFlags(c *cobra.Command) {
	f, l := c.Flags(), &o.limits
	f.IntVar(&l.MaxOutput, "max-output", 1<<20, "what may wait for a client that reads slowly, in bytes")
	f.StringVar(&o.overflow, "overflow", "close", "what to do with a message that does not fit: close the client, or drop the oldest or the newest")
	f.DurationVar(&l.Stall, "stall", 10*time.Second, "close a client that takes nothing for so long while something waits; negative: never")
	f.IntVar(&o.buffered, "max-buffered", 256<<20, "what may wait for all clients of an event loop, in bytes; at three quarters nobody else gets in, past it those with most are closed")
}

func (o *options) innerFlags(c *cobra.Command, inner string) {
	f := c.Flags()
	f.StringVar(&o.inner, "inner", inner, "HOST:PORT where workers connect")
	f.StringVar(&o.keyFile, "key-file", "", "file with the shared key of the inner links; without it only loopback peers are accepted")
	f.DurationVar(&o.drainFor, "drain-for", 10*time.Second, "how long clients may take to go, or a worker to finish what it has taken, after SIGTERM")
	f.BoolVar(&o.leash, "leash", false, "drain when standard input ends: whoever started this process is gone")
	_ = f.MarkHidden("leash") // it is there
	f.IntVar(&o.pace, "drain-pace", 0, "clients a second that are told to go after SIGTERM (default: all within half of --drain-for, at least 100)")
}

func (o *options) workerFlags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.worker, "worker", false, "run a worker alone")
	f.IntVar(&o.workers, "workers", 0, "run so many workers in processes of their own, start those again that die, and replace them one by one on SIGHUP")
	f.StringSliceVar(&o.gateways, "gateway", []string{"127.0.0.1:2300"}, "with --worker: the inner addresses of the gateways, HOST:PORT[,…]")
	f.StringVar(&o.name, "name", "", "the worker's name in logs (default: the host's)")
}

// serve runs what the flags ask for: the business alone, or a gateway and the business together.
func (o *options) serve(ctx context.Context, business func() (worker.Handler, error), page http.Handler) error {
	if o.workers < 0 {
		return usageError{fmt.Errorf("--workers: %d is less than 0", o.workers)}
	}
	key, err := o.key()
	if err != nil {
		return err
	}
	if o.worker {
		addrs := make([]string, len(o.gateways))
		for i, a := range o.gateways {
			addrs[i] = "gateway://" + a
		}
		return o.work(ctx, business, key, o.gateways, func() { announce(addrs) })
	}
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
		return o.work(workerCtx, business, key, []string{g.InnerAddr()}, func() { announce(append(g.Addrs(), "inner://"+g.InnerAddr())) })
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
	if o.leash {
		go followLeash()
	}
	go func() {
		<-w.Ready()
		up()
	}()
	return w.Run(ctx)
}

func (o *options) serveGateway(ctx context.Context, page http.Handler) error {
	key, err := o.key()
	if err != nil {
		return err
	}
	g, err := o.newGateway(key, page)
	if err != nil {
		return err
	}
	if o.leash {
		go followLeash()
	}
	announce(append(g.Addrs(), "inner://"+g.InnerAddr()))
	return g.Serve(ctx)
}

// announce prints the one line that says that everything listens.
func announce(addrs []string) {
	fmt.Println("ready", strings.Join(addrs, " "))
}

func (o *options) newGateway(key []byte, page http.Handler) (*gateway.Gateway, error) {
	cfg := gateway.Config{Inner: o.inner, Key: key, PinCPUs: o.pin, DrainFor: o.drainFor, DrainPace: o.pace, MaxBuffered: o.buffered, Logger: o.log}
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
	if o.reactors != "auto" {
		n, err := strconv.Atoi(o.reactors)
		if err != nil || n < 1 {
			return nil, usageError{fmt.Errorf("--reactors: %q is neither auto nor a number from 1", o.reactors)}
		}
		cfg.Loops = n
	}
	for _, url := range o.listen {
		l := o.limits
		l.URL = url
		if strings.HasPrefix(url, "ws://") {
			l.Origins, l.Compress, l.Page = o.origins, o.compress, page
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	return gateway.New(cfg)
}

func (o *options) newWorker(h worker.Handler, key []byte, gateways []string) (*worker.Worker, error) {
	return worker.New(worker.Config{Gateways: gateways, Key: key, Name: o.name, Build: version(), DrainTimeout: o.drainFor, Logger: o.log}, h)
}

// minKey is the shortest key taken, in bytes.
const minKey = 16

func (o *options) key() ([]byte, error) {
	if o.keyFile == "" {
		return nil, nil
	}
	key, err := os.ReadFile(o.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	if key = bytes.TrimSpace(key); len(key) < minKey {
		return nil, fmt.Errorf("--key-file: %s holds %d bytes, at least %d are needed", o.keyFile, len(key), minKey)
	}
	return key, nil
}
