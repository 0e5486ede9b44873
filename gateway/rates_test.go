package gateway_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
)

// A client that sends faster than allowed is slowed down and loses nothing. Others are not slowed
// down.
func TestRates(t *testing.T) {
	t.Parallel()
	for name, lis := range map[string]gateway.ListenerConfig{
		"messages": {MessageRate: 100},
		"bytes":    {ByteRate: 1000},
		"pings":    {MessageRate: 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := start(t, everyProtocol(lis))
			runWorker(t, g, echo)
			at := listeners(g)
			w := newWitness(t, at["text"])
			const n = 300
			var flood strings.Builder
			c := dialClient(t, at["text"])
			want := func(i int) string { return fmt.Sprintf("number %d", i) }
			if name == "pings" {
				c = dialClient(t, at["ws"])
				for range n {
					flood.WriteString(masked(0x89, ""))
				}
				flood.WriteString(masked(0x81, want(0)))
			} else {
				for i := range n {
					flood.WriteString(want(i) + "\n") // 3,190 bytes
				}
			}
			began := time.Now()
			c.write([]byte(flood.String()))
			wait(t, "it is paced", func() bool { return g.Stats().RateLimited > 0 })
			w.isServed()
			for i := range n {
				if got := c.receive(); got != want(i) {
					t.Fatalf("receives %q, want %q", got, want(i))
				}
				if name == "pings" {
					break
				}
			}
			// a second at the rate, after a burst of two; the clock is coarse
			if took := time.Since(began); took < 700*time.Millisecond {
				t.Errorf("all had passed after %v", took)
			}
		})
	}
}

// What a listener refuses is in the gateway's figures.
func TestListenerStatsOfRefusedConnections(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{MaxPerIP: 1})
	cfg.Listeners = append(cfg.Listeners, gateway.ListenerConfig{URL: "frame://127.0.0.1:0", ConnectRate: 1})
	g, _ := start(t, cfg)
	one := dialClient(t, g.Addrs()[0])
	wait(t, "one client", func() bool { return g.Stats().Clients == 1 })
	if got := dialClient(t, g.Addrs()[0]).receive(); got != "closed" {
		t.Errorf("a second connection receives %q", got)
	}
	wait(t, "a refusal of too many a second", func() bool {
		conn, err := net.Dial("tcp", hostport(g.Addrs()[1]))
		if err == nil {
			_ = conn.Close()
		}
		return g.Stats().Listeners[1].OverRate > 0
	})
	s := g.Stats()
	if l := s.Listeners[0]; l.URL != g.Addrs()[0] || l.Conns != 1 || l.OverMaxPerIP != 1 {
		t.Errorf("%+v", l)
	}
	_ = one.conn.Close()
}
