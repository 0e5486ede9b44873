package gateway

import (
	"encoding/binary"
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
)

// The longest Duration means practically never, in each Duration of a Config.
func TestTheLongestTimeIsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)}
		forEver(&cfg)
		cfg.LinkHeartbeat = 0 // it has a maximum
		g := newGate(t, cfg)
		g.g.started = time.Now()
		forEver(&g.lis.ListenerConfig)
		web := *g.lis
		web.URL, web.codec = "ws://127.0.0.1:0", nil
		open := func(lis *listener, says []byte) *session {
			s := &session{lis: lis}
			p := g.sim.Open(0, netip.AddrPort{}, s, engine.ConnOptions{MaxInput: 1 << 20, MaxOutput: 1 << 20,
				WriteTimeout: lis.WriteTimeout})
			p.Send(says)
			p.Read(1 << 20)
			g.sim.Turn(0)
			return s
		}
		message := binary.BigEndian.AppendUint32(nil, 9)
		silent, begun, said := open(g.lis, nil), open(g.lis, message), open(g.lis, append(message, "hello"...))
		asking := open(&web, []byte("GET / HTTP/1.1\r\n"))
		for range 100 {
			time.Sleep(time.Second)
			g.sim.Turn(0)
		}
		l := g.g.loops[0]
		if silent.phase != phaseOpen || begun.phase != phaseOpen || said.phase != phaseOpen ||
			asking.phase != phaseHandshake {
			t.Errorf("one is gone: %d, %d, %d, %d; %+v", silent.phase, begun.phase, said.phase, asking.phase, l.snapshot())
		}
		if begun.partial == 0 || !said.delivery.HasQueue() || l.seconds < 50 {
			t.Errorf("nothing is waited for: %d bytes of a message, a queue %v, %d seconds", begun.partial,
				said.delivery.HasQueue(), l.seconds)
		}
		if l.stats.MessagesRejected+l.stats.FirstMessageTimeouts+l.stats.MessageTimeouts > 0 {
			t.Errorf("%+v", l.stats)
		}
	})
}

// forEver sets each Duration of a struct to the longest one.
func forEver(config any) {
	for _, of := range reflect.Indirect(reflect.ValueOf(config)).Fields() {
		if of.Type() == reflect.TypeFor[time.Duration]() {
			of.SetInt(math.MaxInt64)
		}
	}
}
