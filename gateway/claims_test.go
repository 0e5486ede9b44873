package gateway_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/faultproxy"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// partitionable is gateways that reach each other through proxies, and a worker without proxies
// that gives each client the uid that its message names, exclusively.
type partitionable struct {
	t        *testing.T
	gateways []*gateway.Gateway
	proxies  [][]*faultproxy.Proxy // from one gateway to another
}

const partLoops = 2

func newPartitionable(t *testing.T, n int) *partitionable {
	p := &partitionable{t: t}
	for i := range n {
		g, _ := start(t, gateway.Config{ID: uint32(i + 1), Loops: partLoops, DrainTimeout: time.Millisecond,
			Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
		p.gateways = append(p.gateways, g)
	}
	for i, g := range p.gateways {
		row := make([]*faultproxy.Proxy, n)
		var peers []link.Peer
		for j, other := range p.gateways {
			if i == j {
				continue
			}
			var err error
			if row[j], err = faultproxy.New(other.WorkerAddr(), faultproxy.Faults{}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(row[j].Close)
			peers = append(peers, link.Peer{ID: uint32(j + 1), Addr: row[j].Addr()})
		}
		p.proxies = append(p.proxies, row)
		for loop := range partLoops {
			serveLogins(t, g, uint16(loop), peers)
		}
	}
	p.healed()
	return p
}

// serveLogins is the worker of one loop.
func serveLogins(t *testing.T, g *gateway.Gateway, loop uint16, peers []link.Peer) {
	conn := dial(t, g.WorkerAddr())
	hello := oneWorker
	hello.Loop = loop
	if _, err := link.Connect(conn, nil, hello); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		out := link.Append(nil, &link.Frame{Type: link.Peers, Payload: link.AppendPeers(nil, peers)})
		for r := bufio.NewReader(conn); ; {
			if _, err := conn.Write(out); err != nil {
				return
			}
			f, err := readFrame(r)
			if err != nil {
				return
			}
			out = out[:0]
			ack := gateway.AckOf(&f)
			switch f.Type {
			case link.Ping:
				ack = &link.Frame{Type: link.Pong, ID: f.ID}
			case link.Message:
				to := link.Frame{Code: loop, Slot: f.Slot, Token: f.Token}
				bind, answer := to, to
				bind.Type, bind.Flags = link.Bind, link.FlagExclusive
				bind.Payload = append(binary.BigEndian.AppendUint32(nil, 0), f.Payload...)
				answer.Type, answer.Flags, answer.Payload = link.Send, link.FlagText, []byte("in")
				ack.Payload = link.Append(link.Append(nil, &bind), &answer)
			}
			if ack != nil {
				out = link.Append(out, ack)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

// cut separates two gateways for longer than they keep effects for each other.
func (p *partitionable) cut(i, j int) {
	p.t.Helper()
	for _, proxy := range []*faultproxy.Proxy{p.proxies[i][j], p.proxies[j][i]} {
		proxy.Set(faultproxy.Faults{Delay: time.Hour})
		proxy.Cut()
	}
}

// heal lets all gateways reach each other.
func (p *partitionable) heal() {
	for _, row := range p.proxies {
		for _, proxy := range row {
			if proxy != nil {
				proxy.Set(faultproxy.Faults{})
				proxy.Cut()
			}
		}
	}
	p.healed()
}

// healed waits until all gateways have links, and have sent everything by them.
func (p *partitionable) healed() {
	p.t.Helper()
	wait(p.t, "all gateways have links to each other", func() bool {
		for _, g := range p.gateways {
			if gateway.LinkedPeers(g) != partLoops*(len(p.gateways)-1) {
				return false
			}
		}
		return true
	})
}

// giveUp has the gateways drop what they keep for those that they cannot reach.
func (p *partitionable) giveUp() {
	for _, g := range p.gateways {
		gateway.GiveUpPeers(g)
	}
}

// racer is a client that logs in. Its goroutine reads until the connection ends.
type racer struct {
	conn net.Conn
	done chan struct{}

	mu    sync.Mutex
	heard []string // guarded by mu: lines
	over  bool     // guarded by mu
}

func newRacer(t *testing.T, g *gateway.Gateway) *racer {
	conn, err := net.Dial("tcp", hostport(g.Addrs()[0]))
	if err != nil {
		t.Fatal(err)
	}
	c := &racer{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			c.mu.Lock()
			c.heard = append(c.heard, lines.Text())
			c.mu.Unlock()
		}
		c.mu.Lock()
		c.over = true
		c.mu.Unlock()
	}()
	return c
}

// listen returns what has come, and whether the connection is open.
func (c *racer) listen() (heard []string, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.heard), !c.over
}

func (c *racer) leave() {
	_ = c.conn.(*net.TCPConn).SetLinger(0)
	_ = c.conn.Close()
	<-c.done
}

// race has some clients log in with one name at the same time, at any gateways.
func (p *partitionable) race(name string) (racers []*racer) {
	first := rand.IntN(len(p.gateways))
	for i := range 2 + rand.IntN(2) {
		racers = append(racers, newRacer(p.t, p.gateways[(first+i)%len(p.gateways)]))
	}
	for _, c := range racers {
		_, _ = io.WriteString(c.conn, name+"\n")
	}
	return racers
}

// Of clients that log in with one name at the same time, at gateways that cannot reach each other,
// exactly one is left when they can again, and the others read why.
func TestRacesThroughPartitions(t *testing.T) {
	t.Parallel()
	const races = 100 // in each partition
	p := newPartitionable(t, 3)
	pairs := [][2]int{{0, 1}, {0, 2}, {1, 2}}
	for round := range suite.Of(t, 5, 8, "partitions") {
		cut := pairs[:round%4]
		rand.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		for _, pair := range cut {
			p.cut(pair[0], pair[1])
		}
		var all [][]*racer
		for n := range races {
			if n == races/2 {
				p.giveUp()
			}
			all = append(all, p.race(fmt.Sprint("name", round, ".", n)))
		}
		for _, c := range slices.Concat(all...) {
			wait(t, "each client was logged in", func() bool {
				heard, _ := c.listen()
				return len(heard) > 0
			})
		}
		p.giveUp()
		began := time.Now()
		p.heal()
		p.settle(all)
		t.Logf("partition of %d pairs: healed after %v", len(cut), time.Since(began).Round(time.Millisecond))
		for _, c := range slices.Concat(all...) {
			c.leave()
		}
	}
}

// settle waits until one client of each race is left, and checks what the others have received.
func (p *partitionable) settle(all [][]*racer) {
	p.t.Helper()
	for _, racers := range all {
		wait(p.t, "one client is left", func() bool {
			left := 0
			for _, c := range racers {
				if _, open := c.listen(); open {
					left++
				}
			}
			return left <= 1
		})
	}
	for _, racers := range all {
		left := 0
		for _, c := range racers {
			if heard, open := c.listen(); open {
				left++
			} else if !slices.Equal(heard, []string{"in", `{"type":"sluice.closed","reason":"replaced"}`}) {
				p.t.Errorf("a client received %q", heard)
			}
		}
		if left != 1 {
			p.t.Errorf("%d of %d clients are left", left, len(racers))
		}
	}
}
