package gateway_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
)

// Many clients begin large messages, and begin again whenever they are closed, while an honest
// client, the oldest of all, uploads slowly. It is not closed if each of them holds more. If it has
// an address of its own, it is not closed even if each of them holds less.
func TestAnHonestSlowUploadFinishes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		from      string
		size      int // of each attacker's message
		attackers int
	}{
		{"the same address, attackers hold more each", "127.0.0.1", 1<<20 - 1000, 19},
		{"another address, attackers hold less each", "127.0.0.2", 500_000, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g, _ := start(t, gateway.Config{MaxPartialBytes: 16 << 20,
				Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
			runWorker(t, g, echo)
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}
			if conn, err := dialer.Dial("tcp", hostport(g.Addrs()[0])); err != nil {
				t.Skip("NOT TESTED: this system has one loopback address: ", err)
			} else {
				_ = conn.Close()
			}
			honest := dialClient(t, g.Addrs()[0])
			text := strings.Repeat("x", 900_000)
			const pieces = 45
			honest.write([]byte(text[:len(text)/pieces])) // it is the oldest
			wait(t, "its beginning", func() bool { return g.Stats().PartialBytes > 0 })
			quit := make(chan struct{})
			var all sync.WaitGroup
			defer all.Wait()
			defer close(quit)
			for range c.attackers {
				all.Go(func() { attack(&dialer, hostport(g.Addrs()[0]), c.size, quit) })
			}
			for i := 1; i < pieces; i++ {
				wait(t, "more attackers cut", func() bool { return g.Stats().PartialEvictions >= uint64(2*i) })
				honest.write([]byte(text[:len(text)/pieces]))
			}
			honest.write([]byte("\n"))
			if got := honest.receive(); got != text {
				t.Fatalf("the honest client receives %.60q", got)
			}
			s := g.Stats()
			t.Logf("%d attackers of %d bytes, closed %d times; the honest one was read", c.attackers, c.size, s.PartialEvictions)
		})
	}
}

// attack begins a message of a size and waits to be closed, repeatedly.
func attack(d *net.Dialer, addr string, size int, quit <-chan struct{}) {
	payload := []byte(strings.Repeat("a", size))
	farewell := make([]byte, 1)
	for {
		conn, err := d.Dial("tcp", addr)
		if err != nil {
			return
		}
		cut := make(chan struct{})
		go func() {
			defer close(cut)
			if _, err := conn.Write(payload); err == nil {
				_, _ = conn.Read(farewell) // its last message, or its end
			}
		}()
		select {
		case <-quit:
			_ = conn.Close()
			<-cut
			return
		case <-cut:
			_ = conn.Close()
		}
	}
}

// An incomplete message counts and its deadline runs, also if its client was not read for a while
// because of its rate.
func TestARateLimitedClientKeepsItsDeadline(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{ByteRate: 1000, MessageTimeout: time.Second}))
	runWorker(t, g, echo)
	c := dialClient(t, g.Addrs()[0])
	c.write([]byte(masked(0x02, strings.Repeat("x", 3000)))) // a second more than the burst
	wait(t, "the client is not read, and what it holds is counted", func() bool {
		s := g.Stats()
		return s.RateLimited == 1 && s.PartialBytes >= 3000
	})
	if got := c.receive(); got != "close 1008 limit" {
		t.Errorf("it receives %q", got)
	}
	if s := g.Stats(); s.MessageTimeouts != 1 || s.PartialBytes != 0 {
		t.Errorf("%d cut as unfinished, %d bytes held", s.MessageTimeouts, s.PartialBytes)
	}
}

// Fragments without payload do not make a message longer. A client that sends them too fast is
// paused each time, and its deadline is not extended by that.
func TestAClientThatIsLimitedRepeatedlyIsClosed(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{MessageRate: 10, MessageTimeout: time.Second}))
	runWorker(t, g, echo)
	c := dialClient(t, g.Addrs()[0])
	c.write([]byte{0x02, 0x81, 0, 0, 0, 0, 'x'}) // one byte, and more to follow
	var writer sync.WaitGroup
	defer writer.Wait()
	defer c.conn.Close() // first
	writer.Go(func() {
		for {
			if _, err := c.conn.Write([]byte{0x00, 0x80, 0, 0, 0, 0}); err != nil {
				return
			}
		}
	})
	wait(t, "the client is cut", func() bool { return g.Stats().MessageTimeouts == 1 })
	if s := g.Stats(); s.RateLimited == 0 {
		t.Error("it has never been paced: the test shows nothing")
	}
}

// A client is not closed because its message takes longer at the allowed rate.
func TestARateLimitedClientHasTimeForItsMessage(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{ByteRate: 1000, MessageTimeout: time.Second}))
	runWorker(t, g, echo)
	c := dialClient(t, g.Addrs()[0])
	frame := masked(0x82, strings.Repeat("x", 9000))
	c.write([]byte(frame[:8000])) // six seconds more than the burst
	wait(t, "the client is paced", func() bool { return g.Stats().RateLimited == 1 })
	c.write([]byte(frame[8000:]))
	if got := c.receive(); got != frame[len(frame)-9000:] {
		t.Errorf("it receives %.40q", got)
	}
}

// Clients that are not read because of their rate hold no more together than other clients.
func TestARateLimitedClientHoldsNoMore(t *testing.T) {
	t.Parallel()
	const bound, clients = 1 << 20, 8
	cfg := ws(gateway.ListenerConfig{ByteRate: 256 << 10})
	cfg.MaxPartialBytes = bound
	g, _ := start(t, cfg)
	runWorker(t, g, echo)
	frame := masked(0x82, strings.Repeat("x", 1<<20))
	var writers sync.WaitGroup
	t.Cleanup(writers.Wait) // when the connections are closed
	for range clients {
		c := dialClient(t, g.Addrs()[0])
		writers.Go(func() { _, _ = c.conn.Write([]byte(frame[:len(frame)-1])) })
	}
	wait(t, "those that are too many are cut, the others paced", func() bool {
		s := g.Stats()
		if s.PartialBytes > bound {
			t.Fatalf("%d bytes are held", s.PartialBytes)
		}
		return s.PartialEvictions > 0 && s.RateLimited > 0 && s.PartialEvictions+uint64(s.Clients) == clients &&
			s.Clients <= 2
	})
}
