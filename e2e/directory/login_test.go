package directory_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// apart is two hosts with a gateway and a worker each, and a third one with Redis.
type apart struct {
	t         *testing.T
	far       *proctest.Network
	redisHost *proctest.Network
	between   *proctest.Cable // from the far host to Redis
	gateways  [2]*proctest.Process
}

func newApart(t *testing.T) *apart {
	t.Helper()
	p := &apart{t: t, far: proctest.NewNetwork(t), redisHost: proctest.NewNetwork(t)}
	p.between = p.far.Connect(p.redisHost)
	bin, logins := proctest.Build(t), proctest.BuildTest(t, "testdata/logins")
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("the key that all of this test's processes share"), 0o600); err != nil {
		t.Fatal(err)
	}
	here, there := "redis://"+redisOn(t, p.redisHost), "redis://"+net.JoinHostPort(p.between.To, "6379")
	flags := func(engine, host string) []string {
		return []string{"gateway", "--engine", engine, "--inner", host + ":0", "--listen", "text://127.0.0.1:0",
			"--reactors", "2", "--key-file", key}
	}
	p.gateways[0] = proctest.Start(t, nil, bin, flags(here, p.far.Here)...)
	near := proctest.Start(t, nil, logins, here, key)
	p.gateways[1] = p.far.Start(bin, flags(there, p.far.There)...)
	far := p.far.Start(logins, there, key)
	for _, w := range []*proctest.Process{near, far} {
		w.AwaitLog("link open", 4)
	}
	for _, g := range p.gateways {
		g.AwaitLog("link to another gateway open", 2)
	}
	return p
}

// person is a client that is logged in.
type person struct {
	conn   net.Conn
	closed atomic.Bool
	since  atomic.Int64 // when it was closed, in nanoseconds since 1970
}

// login logs a client in at a gateway.
func (p *apart) login(gateway int, name string) *person {
	p.t.Helper()
	addr := p.gateways[gateway].Addrs["text"]
	var conn net.Conn
	var err error
	if gateway == 0 {
		conn, err = net.Dial("tcp", addr)
	} else {
		conn, err = p.far.Dial(addr)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	proctest.Say(p.t, conn, name)
	if line, err := in.ReadString('\n'); err != nil || line != "in\n" {
		p.t.Fatalf("%s at gateway %d: %q, %v", name, gateway, line, err)
	}
	c := &person{conn: conn}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for err == nil {
			_, err = in.ReadByte()
		}
		c.since.Store(time.Now().UnixNano())
		c.closed.Store(true)
	}()
	p.t.Cleanup(func() {
		_ = conn.Close()
		<-read
	})
	return c
}

// oneLeft waits until one of each pair is left, and returns how long that has taken.
func (p *apart) oneLeft(what string, since time.Time, pairs ...[2]*person) {
	p.t.Helper()
	last := since.UnixNano()
	for i, pair := range pairs {
		proctest.Await(p.t, fmt.Sprintf("one of pair %d is left: %s", i, what), func() bool {
			return pair[0].closed.Load() || pair[1].closed.Load()
		})
		last = max(last, pair[0].since.Load(), pair[1].since.Load())
	}
	p.t.Logf("%s: one of each of %d pairs was left after %v", what, len(pairs),
		time.Duration(last-since.UnixNano()).Round(time.Millisecond))
}

// Two gateways whose hosts cannot reach each other, and that both reach Redis. Of two clients with
// one name the newer one stays: of those that were logged in before and log in at the other host
// now, of those that log in at both at once, and of those that did while Redis failed, too.
func TestOneLoginWithoutLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	p := newApart(t)
	const names = 40
	var pairs [][2]*person
	for i := range names {
		pairs = append(pairs, [2]*person{p.login(0, fmt.Sprint("before ", i))})
	}
	p.far.Cut()
	cut := time.Now()
	for i := range pairs {
		pairs[i][1] = p.login(1, fmt.Sprint("before ", i))
	}
	p.oneLeft("logged in before, and after the cut", cut, pairs...)
	for i, pair := range pairs {
		if pair[1].closed.Load() {
			t.Errorf("pair %d: the newer one was closed", i)
		}
	}
	for _, g := range p.gateways {
		g.AwaitLog("exclusive bindings are compared in the directory", 1)
	}

	race := func(what string) [][2]*person {
		pairs := make([][2]*person, names)
		for i := range pairs {
			first := i % 2
			pairs[i][first] = p.login(first, fmt.Sprint(what, i))
			pairs[i][1-first] = p.login(1-first, fmt.Sprint(what, i))
		}
		return pairs
	}
	began := time.Now()
	p.oneLeft("at both gateways at once", began, race("race ")...)

	p.redisHost.Cut()
	p.between.Cut()
	p.gateways[0].AwaitLog("directory does not answer", 1)
	p.gateways[1].AwaitLog("directory does not answer", 1)
	waiting := race("outage ")
	for i, pair := range waiting {
		if pair[0].closed.Load() || pair[1].closed.Load() {
			t.Errorf("pair %d: one is closed while nobody can know of both", i)
		}
	}
	p.redisHost.Heal()
	p.between.Heal()
	p.oneLeft("during an outage of Redis", time.Now(), waiting...)

	both := append(append(pairs, waiting...), race("later ")...)
	p.far.Heal()
	for _, g := range p.gateways {
		g.AwaitLog("exclusive bindings are not compared in the directory any more", 1)
	}
	p.oneLeft("all, and the hosts reach each other again", time.Now(), both...)
	for i, pair := range both {
		if pair[0].closed.Load() && pair[1].closed.Load() {
			t.Errorf("pair %d: none is left", i)
		}
	}
}
