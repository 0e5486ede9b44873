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

// These are the reasons why a connection ended, as OnClose receives them. The reason is io.EOF when
// the peer closed the connection, and otherwise the error of the system call that failed.
var (
	// ErrStopped is passed to OnClose when the engine stops. After that, every method that needs a
	// running engine returns it.
	ErrStopped = errors.New("engine: stopped")
	// ErrSlowConsumer is the reason when more than MaxOutput bytes were waiting to be sent.
	// ErrWriteTimeout and ErrOverBudget wrap ErrSlowConsumer.
	ErrSlowConsumer = errors.New("engine: slow consumer")
	// ErrWriteTimeout is the reason when the peer accepted no bytes for ConnOptions.WriteTimeout.
	ErrWriteTimeout = fmt.Errorf("%w: write timeout", ErrSlowConsumer)
	// ErrOverBudget is the reason for the connections with the most waiting bytes, when the waiting
	// bytes of their loop exceeded Config.MaxBuffered or stayed near it for long.
	ErrOverBudget = fmt.Errorf("%w: loop over its memory limit", ErrSlowConsumer)
	// ErrDropped is returned for a message that did not fit and was dropped.
	ErrDropped = errors.New("engine: message dropped")
	// ErrInputTooLarge is the reason when the Handler left more than MaxInput bytes unconsumed.
	ErrInputTooLarge = errors.New("engine: input too large")
	// ErrPanic is the reason when a callback of the connection panicked.
	ErrPanic = errors.New("engine: handler panicked")
	// ErrMailboxFull is returned by Post when MaxMailbox functions are waiting.
	ErrMailboxFull = errors.New("engine: mailbox full")
)

// Config configures an Engine. The zero value is valid.
type Config struct {
	Loops      int           // At most 256. Defaults to GOMAXPROCS.
	PinCPUs    bool          // Binds each loop to one CPU (linux).
	Logger     *slog.Logger  // Defaults to slog.Default(). Called on the loops, so it must not block.
	Tick       time.Duration // Resolution of timers. Defaults to 100 ms.
	MaxMailbox int           // Functions waiting per loop. Defaults to 65,536.
	// MaxBuffered limits the bytes of a loop that wait for slow connections. Each waiting message
	// that may be dropped counts 16 to 64 bytes more. Above the limit, the connections with the
	// most waiting bytes are closed. Above three quarters of it the loop is overloaded, until half
	// of it is free: new connections go to loops that are not overloaded, if there are any, and
	// Loop.Overloaded returns true. After 10 s of overload, the connections with the most waiting
	// bytes are closed until it ends. Defaults to 256 MiB.
	MaxBuffered int
}

// maxLoops is how many event loops gnet has at most.
const maxLoops = 256

// number is one numeric field of a configuration.
type number struct {
	name  string
	value int64 // int64, because a Duration does not fit in a 32-bit int
}

// checkNumbers returns an error if a field is negative.
func checkNumbers(of string, fields ...number) error {
	for _, f := range fields {
		if f.value < 0 {
			return fmt.Errorf("engine: %s.%s: %d: must be at least 0", of, f.name, f.value)
		}
	}
	return nil
}

func (c Config) check() (Config, error) {
	err := checkNumbers("Config",
		number{"Loops", int64(c.Loops)}, number{"Tick", int64(c.Tick)},
		number{"MaxMailbox", int64(c.MaxMailbox)}, number{"MaxBuffered", int64(c.MaxBuffered)})
	if err != nil {
		return c, err
	}
	if c.Loops > maxLoops {
		return c, fmt.Errorf("engine: Config.Loops: %d: must be between 0 and %d", c.Loops, maxLoops)
	}
	if c.Loops == 0 {
		c.Loops = min(runtime.GOMAXPROCS(0), maxLoops)
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
	cfg          Config
	client       *gnet.Client
	loops        []*Loop // bound: none, fixed by New
	start        time.Time
	cpu          chan struct{} // tokens of the handshakes that compute; bound: none, one for each processor
	fastRequests chan struct{} // a loop has blocked conns and wants fast ticks
	quit         chan struct{} // ends the ticker goroutine
	tickerDone   chan struct{} // closed when the ticker goroutine has ended
	stopped      chan struct{} // closed when Stop has finished

	clock atomic.Int64 // nanoseconds since start, updated by the ticker goroutine

	mu          sync.Mutex
	stopping    bool                   // Guarded by mu.
	listeners   map[*Listener]struct{} // Guarded by mu; bound: none, one for each Listen
	registering sync.WaitGroup         // Add only under mu and while not stopping.
}

// New starts the loops. They are running when it returns.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg:          cfg,
		start:        time.Now(),
		cpu:          newCPU(),
		fastRequests: make(chan struct{}, 1),
		quit:         make(chan struct{}),
		tickerDone:   make(chan struct{}),
		stopped:      make(chan struct{}),
		listeners:    make(map[*Listener]struct{}),
	}
	if e.client, err = startReactors(cfg); err != nil {
		return nil, fmt.Errorf("engine: failed to start gnet: %w", err)
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

// abandon undoes a New that failed halfway.
func (e *Engine) abandon() {
	for _, l := range e.loops {
		l.end()
	}
	_ = e.client.Stop()
	for _, l := range e.loops {
		l.closeWakeup()
	}
}

// Loops returns the engine's loops, ordered by Index.
func (e *Engine) Loops() []*Loop { return e.loops }

// Register takes over nc, which may be a *TLSConn, and makes it a Conn of l. If l is nil, it
// chooses the loop with the fewest conns. OnOpen has run when Register returns nil. nc is closed in
// any case; after a success it no longer knows its addresses. Register waits for the loop, so it
// must not be called on a loop.
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
	var events any = c
	if t, ok := nc.(*TLSConn); ok {
		if !t.ConnectionState().HandshakeComplete || !t.records.between() {
			nc.Close()
			return errors.New("engine: failed to register the connection: it is within a TLS handshake or record")
		}
		nc = t.records.socket
		s := newSecure(c, t)
		s.leftover = true
		events = s
	}
	result, err := e.register(c, nc, events)
	if err != nil {
		return err
	}
	return e.registered(c, <-result)
}

// register passes nc to the event loop, with the context of c for gnet's events. The caller must
// call registered once for each success.
func (e *Engine) register(c *Conn, nc net.Conn, events any) (<-chan gnet.RegisteredResult, error) {
	e.mu.Lock()
	if e.stopping {
		e.mu.Unlock()
		nc.Close()
		return nil, ErrStopped
	}
	e.registering.Add(1)
	e.mu.Unlock()

	c.loop.load.Add(1)
	result, err := c.loop.reactor.Enroll(gnet.NewContext(context.Background(), events), nc)
	if err != nil {
		nc.Close()
		c.loop.load.Add(-1)
		e.registering.Done()
		return nil, fmt.Errorf("engine: failed to register the connection: %w", err)
	}
	return result, nil
}

func (e *Engine) registered(c *Conn, r gnet.RegisteredResult) error {
	defer e.registering.Done()
	if r.Err == nil && c.opened {
		return nil
	}
	c.loop.load.Add(-1)
	if r.Err == nil { // gnet does not report the error of epoll_ctl
		r.Err = errors.New("the poller rejected the descriptor")
	}
	return fmt.Errorf("engine: failed to register the connection: %w", r.Err)
}

// idlest returns the loop with the fewest conns. It prefers loops that are not overloaded.
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

// Stop closes the listeners, then every connection with ErrStopped, and then ends the loops. It
// returns when all of that is done. If ctx ends first, it returns ctx's error and the engine
// continues to stop. Stop must not be called on a loop.
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
	// A connection that is being registered needs a running loop.
	e.registering.Wait()
	close(e.quit)
	<-e.tickerDone
	for _, l := range e.loops {
		l.end()
	}
	if err := e.client.Stop(); err != nil {
		e.cfg.Logger.Error("event loop failed", "err", err)
	}
	for _, l := range e.loops {
		l.closeWakeup()
	}
	close(e.stopped)
}

// remoteOf returns nc's remote address, or the zero AddrPort if it is not TCP.
func remoteOf(nc net.Conn) netip.AddrPort { return addrPort(nc.RemoteAddr()) }

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// plainEnd converts gnet's error to the reason that OnClose documents.
func plainEnd(err error) error {
	if err == nil {
		return ErrStopped
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return err
}
