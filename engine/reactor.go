package engine

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

// readBuffer is the largest number of bytes that one OnData receives when none were left before.
const readBuffer = 128 << 10

// startReactors runs a gnet engine without listeners. The engine accepts connections itself,
// because gnet stops when accept(2) runs out of descriptors.
func startReactors(cfg Config) (*gnet.Client, error) {
	client, err := gnet.NewClient(events{},
		gnet.WithNumEventLoop(cfg.Loops),
		gnet.WithReadBufferCap(readBuffer),
		gnet.WithLogger(reactorLog{cfg.Logger}))
	if err != nil {
		return nil, err
	}
	// NewClient set our logger as gnet's logger for the whole process. Replace it by one that does
	// not belong to any engine, because engines come and go.
	logging.SetDefaultLoggerAndFlusher(reactorLog{slog.New(slog.DiscardHandler)}, nil)
	return client, client.Start()
}

// reactorLog forwards gnet's errors to the log and discards its other messages.
type reactorLog struct{ log *slog.Logger }

func (reactorLog) Debugf(string, ...any) {}
func (reactorLog) Infof(string, ...any)  {}
func (reactorLog) Warnf(string, ...any)  {}
func (r reactorLog) Errorf(format string, args ...any) {
	r.log.Error("event loop error", "err", fmt.Sprintf(format, args...))
}
func (r reactorLog) Fatalf(format string, args ...any) { r.Errorf(format, args...) }

// events receives gnet's callbacks. The context of a gnet.Conn is its *Conn, or the *secure below
// that. For the socket by which a loop wakes itself, it is the *Loop.
type events struct{}

func (events) OnBoot(gnet.Engine) gnet.Action       { return gnet.None }
func (events) OnShutdown(gnet.Engine)               {}
func (events) OnTick() (time.Duration, gnet.Action) { return time.Hour, gnet.None }

func (events) OnOpen(g gnet.Conn) ([]byte, gnet.Action) {
	c, ok := g.Context().(*Conn)
	if !ok {
		if s, ok := g.Context().(*secure); ok {
			s.conn.loop.busy = true
			s.start(g)
			s.conn.loop.endCallback()
		}
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
		switch x := g.Context().(type) {
		case *Loop:
			x.wakePending = false
			x.run()
		case *secure:
			x.conn.loop.busy = true
			x.receive(in)
			x.conn.loop.endCallback()
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
	s, isTLS := g.Context().(*secure)
	if isTLS {
		c, err = s.conn, s.ending(err)
	} else if !ok {
		return gnet.None
	}
	l := c.loop
	idle := !l.busy
	l.busy = true
	if !isFIN(err) || !c.continueHalf(g) {
		if err != nil && !c.Closed() && c.retained != nil {
			c.retained.last = l.kernel.unread(g, c.options.MaxInput)
			if isTLS {
				c.retained.last = s.decryptLast(c.retained.last)
			}
		}
		if isTLS && c.g != nil {
			s.discard()
		}
		c.g = nil // do not use it again: the descriptor may be reused
		c.markEnded(plainEnd(err))
	}
	if idle {
		l.endCallback()
	}
	return gnet.None
}
