package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/faultproxy"
	"github.com/seed-7410fe32/sluice/worker"
)

// shaky is a directory in memory that gateways share, and that can fail and lose its data.
type shaky struct {
	*directory.Memory // for rows
	mu                sync.Mutex
	lost              int // times that the data was lost
	inner             directory.Directory
	down              atomic.Bool
	slow              atomic.Int64 // how long a call takes
}

func newShaky(t *testing.T) *shaky {
	t.Helper()
	s := &shaky{}
	s.Memory = s.lose(t)
	s.lose(t)
	return s
}

// lose loses all data.
func (s *shaky) lose(t *testing.T) *directory.Memory {
	t.Helper()
	m, err := directory.NewMemory(directory.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inner, s.lost = m, s.lost+1
	return m
}

func (s *shaky) now() (directory.Directory, error) {
	time.Sleep(time.Duration(s.slow.Load()))
	if s.down.Load() {
		return nil, directory.ErrUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner, nil
}

func (s *shaky) Enter(
	ctx context.Context, m directory.Member, sets []directory.Set,
) ([][]directory.Reader, error) {
	d, err := s.now()
	if err != nil {
		return nil, err
	}
	return d.Enter(ctx, m, sets)
}

func (s *shaky) Leave(ctx context.Context, m directory.Member, sets []directory.Set) error {
	d, err := s.now()
	if err != nil {
		return err
	}
	return d.Leave(ctx, m, sets)
}

func (s *shaky) Locate(
	ctx context.Context, r directory.Reader, lease time.Duration, sets []directory.Set,
) ([][]directory.Member, error) {
	d, err := s.now()
	if err != nil {
		return nil, err
	}
	return d.Locate(ctx, r, lease, sets)
}

func (s *shaky) State() directory.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return directory.State{Up: !s.down.Load(), Generation: fmt.Sprint(s.lost)}
}

func (s *shaky) Generation(context.Context) (string, error) {
	if _, err := s.now(); err != nil {
		return "", err
	}
	return s.State().Generation, nil
}

func (s *shaky) Changed() <-chan struct{} { return nil }

// rooms is a handler of rooms.
var rooms = onMessage(func(c worker.Call, m worker.Message) {
	words := strings.SplitN(string(m.Data), " ", 3)
	switch words[0] {
	case "join":
		c.Join(words[1])
	case "leave":
		c.Leave(words[1])
	case "bind":
		c.Bind(words[1])
	case "say":
		c.Publish(worker.Group(words[1]), worker.Text(words[2]))
		return
	case "tell":
		c.Publish(worker.UID(words[1]), worker.Text(words[2]))
		return
	}
	c.Send(worker.Text("ok"))
})

// narrowGateways starts gateways that share a directory.
func narrowGateways(t *testing.T, n int, d directory.Directory) (all []*gateway.Gateway) {
	t.Helper()
	for i := range n {
		all = append(all, serve(t, gateway.Config{
			ID: uint32(i + 1), Loops: 2, Logger: slog.New(slog.DiscardHandler), Directory: d,
			Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		}))
	}
	return all
}

// eventually waits until ok reports true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// A message to a group goes only to the gateways that hold it, as soon as they know each other.
func TestNarrowPublish(t *testing.T) {
	t.Parallel()
	g := narrowGateways(t, 4, newShaky(t))
	var addrs []string
	for _, g := range g {
		addrs = append(addrs, g.WorkerAddr())
	}
	w := run(t, worker.Config{Gateways: addrs}, rooms)
	<-w.Ready()
	hearer, speaker := dial(t, g[2]), dial(t, g[0])
	hearer.say("join r")
	hearer.receives("ok")
	n := 0
	say := func() (relayed uint64) {
		before := g[0].Stats().Relayed
		n++
		speaker.say(fmt.Sprint("say r ", n))
		hearer.receives(fmt.Sprint(n))
		return g[0].Stats().Relayed - before
	}
	eventually(t, "one command", func() bool { return say() == 1 })
	for range 10 {
		if relayed := say(); relayed != 1 {
			t.Errorf("%d commands for a group at one gateway", relayed)
		}
	}
	late := dial(t, g[3])
	late.say("join r")
	late.receives("ok")
	for range 10 {
		say()
		late.receives(fmt.Sprint(n))
	}
	eventually(t, "two commands", func() bool { r := say(); late.receives(fmt.Sprint(n)); return r == 2 })
}

// No message misses a member whose join was acknowledged, while links break, and the directory is
// slow, fails and loses its data.
func TestNarrowSendsMissNobody(t *testing.T) {
	t.Parallel()
	d := newShaky(t)
	g := narrowGateways(t, 3, d)
	var addrs []string
	var proxies []*faultproxy.Proxy
	direct := make(map[string]string)
	for _, g := range g {
		p, err := faultproxy.New(g.WorkerAddr(), faultproxy.Faults{Delay: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		proxies = append(proxies, p)
		addrs = append(addrs, p.Addr())
		direct[p.Addr()] = g.WorkerAddr()
	}
	// The worker tells the gateways the addresses of the proxies, and does not use them: so a
	// message through the worker is faster than what the gateways tell each other.
	w := run(t, worker.Config{Gateways: addrs, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", direct[addr])
	}}, rooms)
	<-w.Ready()
	over := make(chan struct{})
	var all sync.WaitGroup
	var heard atomic.Int64
	for pair := range 6 {
		all.Go(func() {
			from, to := g[pair%3], g[(pair+1)%3]
			speaker := dial(t, from)
			for round := 0; ; round++ {
				select {
				case <-over:
					return
				default:
				}
				room := fmt.Sprintf("room-%d-%d", pair, round%1000)
				verb := []string{"say", "tell"}[round%2]
				speaker.say(verb + " " + room + " early") // the set gets into memory, without the hearer's gateway
				time.Sleep(rand.N(20 * time.Millisecond))
				hearer := dial(t, to)
				if round%2 == 0 {
					hearer.say("join " + room)
				} else {
					hearer.say("bind " + room)
				}
				for text := hearer.next(); text != "ok"; text = hearer.next() {
					if text != "early" {
						t.Errorf("%q before the join was acknowledged", text)
					}
				}
				for i := range 3 {
					speaker.say(fmt.Sprintf("%s %s %d.%d", verb, room, round, i))
				}
				for i := range 3 {
					text := hearer.next()
					for text == "early" {
						text = hearer.next()
					}
					if text != fmt.Sprintf("%d.%d", round, i) {
						t.Errorf("%q where message %d of round %d was due", text, i, round)
						return
					}
					heard.Add(1)
				}
				_ = hearer.conn.Close()
			}
		})
	}
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end) && !t.Failed(); {
		time.Sleep(rand.N(400 * time.Millisecond))
		switch rand.N(8) {
		case 0:
			proxies[rand.N(3)].Cut()
		case 1:
			d.down.Store(true)
		case 2:
			d.lose(t)
		case 3:
			d.slow.Store(rand.Int64N(int64(20 * time.Millisecond)))
		default:
			d.down.Store(false)
			d.slow.Store(0)
		}
	}
	close(over)
	d.down.Store(false)
	d.slow.Store(0)
	all.Wait()
	t.Logf("%d messages heard", heard.Load())
	for i, g := range g {
		s := g.Stats()
		t.Logf("gateway %d: %d relayed, %d dropped, %d units parked", i+1, s.Relayed, s.CommandsDropped, s.UnitsParked)
		if s.CommandsDropped > 0 {
			t.Errorf("gateway %d has dropped %d commands", i+1, s.CommandsDropped)
		}
	}
}
