package engine

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

// readBuffer is the most one OnData receives at once, when nothing waited.
const readBuffer = 128 << 10

// startReactors runs a gnet engine that listens to nothing: accepting is ours,
// because gnet's own accept stops the engine when descriptors run out.
func startReactors(cfg Config) (*gnet.Client, error) {
	client, err := gnet.NewClient(events{},
		gnet.WithNumEventLoop(cfg.Loops),
		gnet.WithReadBufferCap(readBuffer),
		gnet.WithLogger(reactorLog{cfg.Logger}))
	if err != nil {
		return nil, err
	}
	// NewClient made our logger gnet's logger for the whole process. Put one
	// there that belongs to nobody: engines come and go.
	logging.SetDefaultLoggerAndFlusher(reactorLog{slog.New(slog.DiscardHandler)}, nil)
	return client, client.Start()
}

// reactorLog passes on what gnet says of a failing loop and drops its chatter.
type reactorLog struct{ log *slog.Logger }

func (reactorLog) Debugf(string, ...any) {}
func (reactorLog) Infof(string, ...any)  {}
func (reactorLog) Warnf(string, ...any)  {}
func (r reactorLog) Errorf(format string, args ...any) {
	r.log.Error("engine: " + fmt.Sprintf(format, args...))
}
func (r reactorLog) Fatalf(format string, args ...any) { r.Errorf(format, args...) }

// events receives gnet's callbacks. The context of a gnet.Conn is its *Conn, or
// the *Loop for the socket a loop wakes itself with.
type events struct{}

func (events) OnBoot(gnet.Engine) gnet.Action       { return gnet.None }
func (events) OnShutdown(gnet.Engine)               {}
func (events) OnTick() (time.Duration, gnet.Action) { return time.Hour, gnet.None }

func (events) OnOpen(g gnet.Conn) ([]byte, gnet.Action) {
	c, ok := g.Context().(*Conn)
	if !ok {
		return nil, gnet.None
	}
	l := c.loop
	l.busy = true
	l.adopt(c, g)
	c.callOpen()
	l.endCallback()
	return nil, gnet.None
}

func (events) OnTraffic(g gnet.Conn) gnet.Action {
	in, _ := g.Next(-1)
	c, ok := g.Context().(*Conn)
	if !ok {
		if l, ok := g.Context().(*Loop); ok {
			l.kicked = false
			l.run()
		}
		return gnet.None
	}
	l := c.loop
	l.busy = true
	c.receive(in)
	l.endCallback()
	return gnet.None
}

func (events) OnClose(g gnet.Conn, err error) gnet.Action {
	c, ok := g.Context().(*Conn)
	if !ok {
		return gnet.None
	}
	l := c.loop
	idle := !l.busy
	l.busy = true
	if !isFIN(err) || !c.continueHalf(g) {
		if err != nil && !c.Closed() && c.retained != nil {
			c.retained.last = l.kernel.unread(g, c.options.MaxInput)
		}
		c.g = nil // never touch it again: the descriptor may be another's tomorrow
		c.markEnded(plainEnd(err))
	}
	if idle {
		l.endCallback()
	}
	return gnet.None
}
