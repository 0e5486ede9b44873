package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/sdnotify"
	"github.com/seed-7410fe32/sluice/internal/spare"
	"github.com/seed-7410fe32/sluice/worker"
)

// business makes the business code of a worker.
type business func() (worker.Handler, error)

// serve runs what the flags ask for: a worker with the business code, or a gateway and a worker.
func (o *options) serve(c *cobra.Command, business business, page pageOn) error {
	outliveReaders()
	if err := cmp.Or(noZeros(c.Flags()), o.checkRole(c.Flags()), o.tokens.check(c.Flags()),
		o.engine.check(o, c.Flags())); err != nil {
		return err
	}
	ctx := c.Context()
	go spare.ReturnMemory(ctx)
	key, err := o.key()
	if err != nil {
		return err
	}
	if err := o.tls.load(o.log, o.worker); err != nil {
		return err
	}
	keepTLS(ctx, o)
	if o.worker {
		return o.workAlone(ctx, c, business, key)
	}
	o.handlersHere = o.workers == 0
	g, closeData, err := o.openGateway(key, page)
	if err != nil {
		return err
	}
	defer closeData()
	// The gateway drains before the workers go, so that nothing taken is left unanswered.
	gatewayCtx, stopGateway := context.WithCancel(ctx)
	defer stopGateway()
	operators, err := newAdmin(o, c, g, stopGateway)
	if err != nil {
		return err
	}
	workerCtx, stopWorkers := context.WithCancel(context.WithoutCancel(ctx))
	var both errgroup.Group
	both.Go(func() error {
		defer stopWorkers()
		return operators.beside(func() error { return runGateway(gatewayCtx, g) })
	})
	both.Go(func() error {
		defer stopGateway()
		select {
		case <-g.Ready():
		case <-workerCtx.Done(): // it could not listen
			return nil
		}
		o.own = ownGateway{g.WorkerAddr(), advertised(o, g)}
		o.tellPages(g, page)
		reloadListeners(o, g, page)
		return o.work(workerCtx, c, business, key, []string{g.WorkerAddr()}, func() {
			o.announceGateway(workerCtx, g, operators)
		})
	})
	return both.Wait()
}

// workAlone runs the business code without a gateway, until ctx ends.
func (o *options) workAlone(ctx context.Context, c *cobra.Command, business business, key []byte) error {
	if o.workers == 0 { // otherwise each process has its own connection
		if err := o.engine.connect(o.log); err != nil {
			return err
		}
		defer o.engine.close()
	}
	return o.work(ctx, c, business, key, o.gateways, func() { o.announce(gatewayNames(o)) })
}

// work runs the business code until ctx ends: as a worker in this process or, with --workers, in
// processes of their own. up is called when all links are up.
// ctx is not that of c, because workers outlive the gateway.
func (o *options) work(
	ctx context.Context, c *cobra.Command, business business, key []byte, gateways []string, up func(),
) error {
	if o.workers > 0 {
		keepWorkerSettings(o)
	}
	reloaded := followHangUps(ctx, o, c)
	if o.workers > 0 {
		return o.superviseWorkers(ctx, gateways, up, reloaded)
	}
	h, err := business()
	if err != nil {
		return err
	}
	w, err := o.newWorker(h, c.Name(), key, gateways)
	if err != nil {
		return err
	}
	o.workerFigures.worker.Store(w)
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
	if err := cmp.Or(noZeros(c.Flags()), o.tokens.check(c.Flags()), o.engine.check(o, c.Flags())); err != nil {
		return err
	}
	go spare.ReturnMemory(c.Context())
	key, err := o.key()
	if err != nil {
		return err
	}
	if err := o.tls.load(o.log, o.worker); err != nil {
		return err
	}
	keepTLS(c.Context(), o)
	g, closeData, err := o.openGateway(key, page)
	if err != nil {
		return err
	}
	defer closeData()
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	operators, err := newAdmin(o, c, g, stop)
	if err != nil {
		return err
	}
	if o.exitWithParent {
		go followParent()
	}
	ended := make(chan error, 1)
	go func() { ended <- operators.beside(func() error { return runGateway(ctx, g) }) }()
	select {
	case err := <-ended:
		return err
	case <-g.Ready():
	}
	o.tellPages(g, page)
	reloadListeners(o, g, page)
	followHangUps(c.Context(), o, c)
	o.announceGateway(c.Context(), g, operators)
	return <-ended
}

// runGateway runs g. An address that cannot be listened on is named by its flag.
func runGateway(ctx context.Context, g *gateway.Gateway) error {
	err := g.Run(ctx)
	if bad, ok := errors.AsType[*gateway.ListenError](err); ok {
		return fmt.Errorf("%s %s: %w", flagOf(bad.Field), bad.Addr, bad.Err)
	}
	return err
}

// tellPages logs the addresses of the chat's page, if there is one.
func (o *options) tellPages(g *gateway.Gateway, page pageOn) {
	if page == nil {
		return
	}
	for _, addr := range g.Addrs() {
		if web, scheme, ok := webSocketURL(addr); ok {
			host, _, _ := strings.Cut(web, "/")
			o.log.Info("chat page", "url", scheme+"://"+host)
		}
	}
}

// announce prints the ready line. It does not wait for it: standard output may be a pipe that is
// full, or one whose reader has gone.
func (o *options) announce(addrs []string) {
	go func() {
		if err := sdnotify.Send(sdnotify.Ready); err != nil {
			o.log.Warn("the service manager does not know that the process is ready", "err", err)
		}
		if _, err := fmt.Println("ready", strings.Join(addrs, " ")); err != nil {
			o.log.Warn("ready line was not written", "err", err)
		}
	}()
}

// awaitLinks waits until the gateway's loops have the links of the workers, which are up. They have
// them a moment later than the workers; then readiness probes succeed as well.
func awaitLinks(ctx context.Context, g *gateway.Gateway) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for g.Readiness() != nil && ctx.Err() == nil {
		backoff.Sleep(ctx, time.Millisecond)
	}
}

// announceGateway prints the ready line of a gateway.
func (o *options) announceGateway(ctx context.Context, g *gateway.Gateway, operators *operators) {
	if o.handlersHere || o.workers > 0 {
		awaitLinks(ctx, g)
	}
	addrs := append(g.Addrs(), "inner://"+g.WorkerAddr())
	if operators != nil {
		addrs = append(addrs, "admin://"+operators.server.Addr())
	}
	if s := o.statistics; s != nil && s.intake != nil {
		addrs = append(addrs, "udp://"+s.intake.Addr())
	}
	o.announce(addrs)
}

// outliveReaders makes a write to standard output or error fail when its reader has gone, instead
// of ending the process. SIGPIPE is caught and not ignored, because processes started from here
// would inherit that it is ignored.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

func (o *options) newGateway(key []byte, page pageOn) (*gateway.Gateway, error) {
	cfg := o.gateway
	cfg.Key, cfg.LinkTLS, cfg.DrainTimeout, cfg.Logger = key, o.tls.linkConfig(), o.drainTimeout, o.log
	cfg.AccessLog, cfg.AccessLogSample = o.logs.accessLog(o.log), o.logs.accessOne
	var known bool
	if cfg.Router, known = routers[o.router]; !known {
		return nil, usageError{fmt.Errorf("--router: %q: must be least, round-robin, random or path", o.router)}
	}
	if o.reactors != "auto" {
		n, err := strconv.Atoi(o.reactors)
		if err != nil || n < 1 {
			return nil, usageError{fmt.Errorf("--reactors: %q: must be auto or at least 1", o.reactors)}
		}
		cfg.Loops = n
	} else if o.handlersHere {
		cfg.Loops = min(max(runtime.GOMAXPROCS(0)-1, 1), 255) // at most what a gateway accepts
	}
	if now := runtime.GOMAXPROCS(0); o.handlersHere {
		if need := processorsFor(cfg.Loops, now); need > now {
			runtime.GOMAXPROCS(need)
		}
	}
	var err error
	if cfg.Listeners, err = listenersOf(o, page); err != nil {
		return nil, usageError{err}
	}
	if err := o.tokens.start(cfg.Listeners, o.log); err != nil {
		return nil, usageError{err}
	}
	if o.store != nil {
		cfg.OnInvoke = o.store.Serve
	}
	if err := o.stats.check(o); err != nil {
		return nil, err
	}
	if o.statistics != nil {
		cfg.OnStats = o.statistics.take
		o.statistics.tell(o)
	}
	o.engine.use(&cfg, o.log)
	g, err := gateway.New(cfg)
	if bad, ok := errors.AsType[*gateway.ConfigError](err); ok {
		return nil, ofField(bad.Field, bad.Err)
	}
	return g, err
}

// ofField returns the usage error for a field of gateway.Config or worker.Config.
func ofField(field string, err error) error {
	item, name := itemOf(field)
	if flag, ok := strings.CutPrefix(flagOf(name), "--"); ok {
		return usageError{settingError{flag, item, err}}
	}
	return usageError{fmt.Errorf("%s: %w", field, err)}
}

// processorsFor returns the value of GOMAXPROCS for so many event loops with handlers beside them.
// now is the present value. A loop, and the reader of its link, hold a processor of the Go runtime
// while they wait in the kernel. With none left for handlers a message took 5 ms.
func processorsFor(loops, now int) int {
	if loops < now {
		return now
	}
	return 2 * loops
}

func (o *options) newWorker(h worker.Handler, module string, key []byte, gateways []string) (*worker.Worker, error) {
	cfg := worker.Config{
		Key: key, Name: o.name, Module: module, Weight: o.weight, Window: o.window, Build: version(),
		DrainTimeout: o.drainTimeout, Logger: o.log,
	}
	if links := o.tls.linkConfig(); links != nil {
		cfg.TLS = links.Client
	}
	if o.statistics != nil { // the gateway of this process ends before the worker
		cfg.OnStats = o.statistics.take
	}
	if err := findGateways(o, &cfg, gateways); err != nil {
		return nil, err
	}
	w, err := worker.New(cfg, h)
	if bad, ok := errors.AsType[*worker.ConfigError](err); ok {
		return nil, ofField(bad.Field, bad.Err)
	}
	return w, err
}

// openGateway opens the directory and what is kept, the store of the chat and the statistics, and
// makes a gateway with them. The caller closes them when the gateway has ended.
func (o *options) openGateway(key []byte, page pageOn) (g *gateway.Gateway, closeData func(), err error) {
	closeData = func() {
		o.statistics.close()
		o.closeStore()
		o.engine.close()
	}
	if err = o.engine.connect(o.log); err == nil {
		err = o.openStore(key)
	}
	if err == nil {
		o.statistics, err = openStats(o)
	}
	if err == nil {
		g, err = o.newGateway(key, page)
	}
	if err != nil {
		closeData()
	}
	return g, closeData, err
}

// openStore opens the store that the workers of the chat call, if the command has one. The caller
// closes it.
func (o *options) openStore(key []byte) (err error) {
	switch cfg := (store.Config{Logger: o.log}); {
	case !o.keepsChat:
		return nil
	case o.data == "" && o.engine.given():
		o.gateway.SharedInvoke = true
		o.store, err = store.Share(o.engine.open.Kept("chat"), cfg)
		return err
	case o.data == "":
		cfg.Secret = key // so that the tokens of people are valid after a restart
		o.store, err = store.New(cfg)
		return err
	default:
		if o.store, err = store.Open(o.data, cfg); err != nil {
			return fmt.Errorf("--data: %w", err)
		}
		o.log.Info("chat data", "directory", o.data)
		return nil
	}
}

// closeStore closes the store, if there is one, after the gateway has ended.
func (o *options) closeStore() {
	if o.store == nil {
		return
	}
	var failed error
	if o.data != "" {
		figures, err := o.store.Stats()
		if failed = err; err == nil {
			o.log.Info("closing the chat's data", "directory", o.data, "conversations", figures.Conversations,
				"messages", figures.Messages, "bytes", figures.Bytes, "people", figures.People)
		}
	}
	if err := errors.Join(failed, o.store.Close()); err != nil {
		o.log.Error("the chat's data was not closed", "err", err)
	}
}
