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
	reactors string
	pin      bool
	inner    string
	keyFile  string
	worker   bool
	gateways []string
	name     string
}

func (o *options) clientFlags(c *cobra.Command, listen ...string) {
	f := c.Flags()
	f.StringArrayVar(&o.listen, "listen", listen, "where clients connect: ws://HOST:PORT[/path] text:// json:// jsonl:// frame://; repeatable")
	f.StringArrayVar(&o.origins, "origin", nil, "a host, besides the listener's own, whose pages may open a WebSocket; repeatable")
	f.BoolVar(&o.compress, "compress", true, "offer permessage-deflate")
	o.limitFlags(c)
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

func (o *options) innerFlags(c *cobra.Command, inner string) {
	c.Flags().StringVar(&o.inner, "inner", inner, "HOST:PORT where workers connect")
	o.keyFlag(c)
}

func (o *options) workerFlags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.worker, "worker", false, "run a worker alone")
	f.StringSliceVar(&o.gateways, "gateway", []string{"127.0.0.1:2300"}, "with --worker: the inner addresses of the gateways, HOST:PORT[,…]")
	f.StringVar(&o.name, "name", "", "the worker's name in logs (default: the host's)")
}

func (o *options) keyFlag(c *cobra.Command) {
	c.Flags().StringVar(&o.keyFile, "key-file", "", "file with the shared key of the inner links; without it only loopback peers are accepted")
}

// serve runs what the flags ask for: a worker alone, or a gateway and a worker together.
func (o *options) serve(ctx context.Context, h worker.Handler, page http.Handler) error {
	key, err := o.key()
	if err != nil {
		return err
	}
	if o.worker {
		return o.serveWorker(ctx, h, key, o.gateways)
	}
	g, err := o.newGateway(key, page)
	if err != nil {
		return err
	}
	// The worker drains before the gateway goes, so that nothing taken is left unanswered.
	gatewayCtx, stopGateway := context.WithCancel(context.WithoutCancel(ctx))
	var both errgroup.Group
	both.Go(func() error { return g.Serve(gatewayCtx) })
	both.Go(func() error {
		defer stopGateway()
		w, err := o.newWorker(h, key, []string{g.InnerAddr()})
		if err != nil {
			return err
		}
		go announce(w.Ready(), append(g.Addrs(), "inner://"+g.InnerAddr()))
		return w.Run(ctx)
	})
	return both.Wait()
}

func (o *options) serveWorker(ctx context.Context, h worker.Handler, key []byte, gateways []string) error {
	w, err := o.newWorker(h, key, gateways)
	if err != nil {
		return err
	}
	addrs := make([]string, len(gateways))
	for i, a := range gateways {
		addrs[i] = "gateway://" + a
	}
	go announce(w.Ready(), addrs)
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
	announce(nil, append(g.Addrs(), "inner://"+g.InnerAddr()))
	return g.Serve(ctx)
}

// announce prints the one line that says that everything listens.
func announce(ready <-chan struct{}, addrs []string) {
	if ready != nil {
		<-ready
	}
	fmt.Println("ready", strings.Join(addrs, " "))
}

func (o *options) newGateway(key []byte, page http.Handler) (*gateway.Gateway, error) {
	cfg := gateway.Config{Inner: o.inner, Key: key, PinCPUs: o.pin, Logger: o.log}
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
	return worker.New(worker.Config{Gateways: gateways, Key: key, Name: o.name, Build: version(), Logger: o.log}, h)
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
