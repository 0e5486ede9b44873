package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Why a connection ended, as OnClose receives it. The peer's own end is io.EOF;
// anything else is the error of the system call that failed.
var (
	// ErrStopped is given to OnClose when the engine stops, and returned by
	// every method that needs a running engine afterwards.
	ErrStopped = errors.New("engine: stopped")
	// ErrSlowConsumer is given when more than MaxOutput bytes waited to be sent.
	// ErrWriteTimeout and ErrOverBudget are ErrSlowConsumers too.
	ErrSlowConsumer = errors.New("engine: slow consumer")
	// ErrWriteTimeout is given when the peer took nothing for ConnOptions.WriteTimeout.
	ErrWriteTimeout = fmt.Errorf("%w: stalled", ErrSlowConsumer)
	// ErrOverBudget is given to the connections with most bytes waiting when a
	// loop's were more than Config.MaxBuffered together, or near it for long.
	ErrOverBudget = fmt.Errorf("%w: over the loop's budget", ErrSlowConsumer)
	// ErrDropped is returned for a message that did not fit and was dropped.
	ErrDropped = errors.New("engine: message dropped")
	// ErrInputTooLarge is given when the handler left more than MaxInput bytes.
	ErrInputTooLarge = errors.New("engine: input too large")
	// ErrPanic is given when a callback of the connection panicked.
	ErrPanic = errors.New("engine: handler panicked")
	// ErrMailboxFull is returned by Post when MaxMailbox functions wait.
	ErrMailboxFull = errors.New("engine: mailbox full")
)

// Config describes an Engine. The zero value works.
type Config struct {
	Loops      int           // Defaults to GOMAXPROCS.
	PinCPUs    bool          // Binds each loop to one CPU (linux).
	Logger     *slog.Logger  // Defaults to slog.Default(). Called on the loops: it must not block.
	Tick       time.Duration // Resolution of timers. Defaults to 100 ms.
	MaxMailbox int           // Functions waiting per loop. Defaults to 65,536.
	// MaxBuffered bounds the bytes per loop that wait for slow connections, with 16 to
	// 64 more for each message that may be dropped; past
	// it those with most waiting are ended. From three quarters of it on the loop
	// is overloaded, until half of it is free: new connections go to other loops,
	// if there are better ones, and Loop.Overloaded tells the Handler. When that
	// has lasted for 10 s, those with most waiting are ended until it is over.
	// Defaults to 256 MiB.
	MaxBuffered int
}

// number is a field of a configuration.
type number struct {
	name  string
	value int64 // a Duration has no room in the int of 32 bits
}

// checkNumbers refuses fields that are negative.
func checkNumbers(of string, fields ...number) error {
	for _, f := range fields {
		if f.value < 0 {
			return fmt.Errorf("engine: %s.%s: %d is negative, must be 0 or more", of, f.name, f.value)
		}
	}
	return nil
}

func (c Config) check() (Config, error) {
	err := checkNumbers("Config", number{"Loops", int64(c.Loops)}, number{"Tick", int64(c.Tick)}, number{"MaxMailbox", int64(c.MaxMailbox)}, number{"MaxBuffered", int64(c.MaxBuffered)})
	if err != nil {
		return c, err
	}
	if c.Loops > 256 {
		return c, fmt.Errorf("engine: Config.Loops: %d is not between 0 and 256", c.Loops)
	}
	if c.Loops == 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Tick == 0 {
		c.Tick = 100 * time.Millisecond
	}
	if c.MaxMailbox == 0 {
		c.MaxMailbox = 65536
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = 256 << 20
	}
	return c, nil
}

// Engine is a set of loops and the listeners that feed them.
type Engine struct {
	// Static after New.
	cfg     Config
	client  *gnet.Client
	loops   []*Loop // bound: none, fixed by New
	start   time.Time
	nudge   chan struct{} // tells the pacemaker that a loop has blocked conns
	quit    chan struct{} // ends the pacemaker
	paced   chan struct{} // closed when the pacemaker has ended
	stopped chan struct{} // closed when Stop has done everything

	clock atomic.Int64 // nanoseconds since start, moved on by the pacemaker

	mu        sync.Mutex
	stopping  bool                   // Guarded by mu.
	listeners map[*Listener]struct{} // Guarded by mu; bound: none, one for each Listen
	enrolling sync.WaitGroup         // Add only under mu and while not stopping.
}

// New starts the loops; they run when it returns.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg:       cfg,
		start:     time.Now(),
		nudge:     make(chan struct{}, 1),
		quit:      make(chan struct{}),
		paced:     make(chan struct{}),
		stopped:   make(chan struct{}),
		listeners: make(map[*Listener]struct{}),
	}
	if e.client, err = startReactors(cfg); err != nil {
		return nil, fmt.Errorf("engine: failed to start the reactors: %w", err)
	}
	for i := range cfg.Loops {
		l, err := newLoop(e, i)
		if err != nil {
			e.abandon()
			return nil, fmt.Errorf("engine: failed to start loop %d: %w", i, err)
		}
		e.loops = append(e.loops, l)
	}
	for _, l := range e.loops {
		if cfg.PinCPUs {
			l.pin()
		}
	}
	go e.tick()
	return e, nil
}

// abandon undoes a New that failed half-way.
func (e *Engine) abandon() {
	for _, l := range e.loops {
		l.end()
	}
	_ = e.client.Stop()
	for _, l := range e.loops {
		l.closeWakeup()
	}
}

// Loops are the engine's loops, by Index.
func (e *Engine) Loops() []*Loop { return e.loops }

// Register takes nc over and makes it a Conn of l; with l nil, of the loop that
// has the fewest. OnOpen has run when it returns nil. nc is closed in any case,
// and no longer knows its addresses when it has become a Conn. It waits for the
// loop, so it must not be called on one.
func (e *Engine) Register(l *Loop, nc net.Conn, h Handler, o ConnOptions) error {
	if l == nil {
		l = e.idlest()
	}
	o, err := o.check("ConnOptions")
	if err != nil {
		nc.Close()
		return err
	}
	c := newConn(l, h, &o, nil, remoteOf(nc))
	result, err := e.register(c, nc)
	if err != nil {
		return err
	}
	return e.enrolled(c, <-result)
}

// register hands nc to the reactor. Each success is followed by one enrolled.
func (e *Engine) register(c *Conn, nc net.Conn) (<-chan gnet.RegisteredResult, error) {
	e.mu.Lock()
	if e.stopping {
		e.mu.Unlock()
		nc.Close()
		return nil, ErrStopped
	}
	e.enrolling.Add(1)
	e.mu.Unlock()

	c.loop.load.Add(1)
	result, err := c.loop.reactor.Enroll(gnet.NewContext(context.Background(), c), nc)
	if err != nil {
		nc.Close()
		c.loop.load.Add(-1)
		e.enrolling.Done()
		return nil, fmt.Errorf("engine: failed to enroll: %w", err)
	}
	return result, nil
}

func (e *Engine) enrolled(c *Conn, r gnet.RegisteredResult) error {
	defer e.enrolling.Done()
	if r.Err == nil && c.opened {
		return nil
	}
	c.loop.load.Add(-1)
	if r.Err == nil { // gnet swallows what epoll_ctl said
		r.Err = errors.New("the poller refused the descriptor")
	}
	return fmt.Errorf("engine: failed to enroll: %w", r.Err)
}

// idlest is the loop with the fewest conns, of those that are not overloaded if
// there are such.
func (e *Engine) idlest() *Loop {
	best := e.loops[0]
	for _, l := range e.loops[1:] {
		if over := best.Overloaded(); over != l.Overloaded() {
			if over {
				best = l
			}
		} else if l.load.Load() < best.load.Load() {
			best = l
		}
	}
	return best
}

// Stop closes the listeners, then every connection with ErrStopped, then ends
// the loops. It returns when nothing is left, or early with ctx's error while
// stopping goes on. It must not be called on a loop.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	first := !e.stopping
	e.stopping = true
	e.mu.Unlock()
	if first {
		go e.stop()
	}
	select {
	case <-e.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) stop() {
	e.mu.Lock()
	listeners := make([]*Listener, 0, len(e.listeners))
	for ln := range e.listeners {
		listeners = append(listeners, ln)
	}
	e.mu.Unlock()
	for _, ln := range listeners {
		_ = ln.Close()
	}
	// A descriptor on its way to a loop needs the loop to run.
	e.enrolling.Wait()
	close(e.quit)
	<-e.paced
	for _, l := range e.loops {
		l.end()
	}
	if err := e.client.Stop(); err != nil {
		e.cfg.Logger.Error("engine: a loop had failed", "error", err)
	}
	for _, l := range e.loops {
		l.closeWakeup()
	}
	close(e.stopped)
}

// remoteOf is the zero AddrPort for anything but TCP.
func remoteOf(nc net.Conn) netip.AddrPort { return addrPort(nc.RemoteAddr()) }

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// plainEnd turns what gnet reports into the reason OnClose documents.
func plainEnd(err error) error {
	if err == nil {
		return ErrStopped
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return err
}
