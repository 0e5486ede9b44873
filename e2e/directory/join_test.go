package directory_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// Gateways and workers join, leave in order and crash, while clients of other gateways talk. None
// of their messages is lost or doubled. A new gateway is in use at once, and one that has gone is
// given up.
func TestJoinLeaveAndCrash(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, 2)
	load, end := c.loadUntil()

	third := c.gateway()
	took := c.inUse(third)
	t.Logf("the third gateway was in use %v after it listened", took)
	if took > 2*time.Second {
		t.Logf("LATE: the goal is 2 s")
	}
	proctest.Echoes(t, proctest.Dial(t, third.Addrs["text"]), "hello")
	c.worker()
	proctest.Await(t, "the new worker serves all gateways", func() bool {
		return strings.Count(c.workers[2].Log(), "link open") == 6
	})
	if code := c.workers[0].Terminate(); code != 0 {
		t.Errorf("a worker that leaves: exit code %d", code)
	}
	if code := third.Terminate(); code != 0 {
		t.Errorf("a gateway that leaves: exit code %d", code)
	}
	c.workers[1].AwaitLog("gateway given up", 1)
	if keys := c.redis.Do("keys", "*gateway/*"); strings.Count(keys, "gateway/") > 3 {
		t.Errorf("rows: %s", keys)
	}

	crashed := c.gateway()
	c.found(crashed, c.workers[1])
	crashed.Kill()
	began := time.Now()
	c.workers[1].AwaitLog("gateway given up", 2)
	t.Logf("a gateway that had crashed was given up after %v", time.Since(began).Round(time.Millisecond))
	c.workers[2].Kill()
	c.worker()
	time.AfterFunc(afterwards, end)
	c.endsClean(load)
}

// Three gateways join one, and nothing that is connected notices.
func TestGrowth(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, 2)
	load := c.load(6 * time.Second)
	var times []time.Duration
	for range 3 {
		times = append(times, c.inUse(c.gateway()))
	}
	t.Logf("new gateways were in use after %v", times)
	for i, g := range c.gateways {
		conn := proctest.Dial(t, g.Addrs["text"])
		proctest.Echoes(t, conn, strings.Repeat("x", i+1))
	}
	c.endsClean(load)
	undisturbed(t, slices.Concat(c.gateways, c.workers)...)
}

// Three nodes with a gateway and workers each, in one process or in several: each worker serves all
// gateways, what people say at one is heard at the others, and all workers call the same gateway
// for what is kept.
func TestChatOnThreeNodes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0, 0)
	var nodes []*proctest.Process
	for _, workers := range []string{"0", "0", "2"} {
		nodes = append(nodes, proctest.Start(t, nil, c.bin, "chat", "--engine", c.url,
			"--listen", "text://127.0.0.1:0", "--reactors", "1", "--workers", workers))
	}
	for i, n := range nodes {
		links := 3 * max(2*(i-1), 1) // of one worker, or of two
		proctest.Await(t, "each worker serves each gateway", func() bool {
			return strings.Count(n.Log(), `msg="link open" gateway`) == links
		})
		if strings.Contains(n.Log(), "two addresses lead to the same gateway") {
			t.Errorf("node %d dials itself twice", i)
		}
	}
	names := []string{"Ada", "Bea", "Cem"}
	var people []*listener
	for i, n := range nodes {
		p := newListener(t, n.Addrs["text"])
		proctest.Say(t, p.conn, "/login "+names[i], "/join lobby")
		p.hears(`"type":"welcome"`)
		p.hears(`"room":"lobby"`)
		for _, earlier := range names[:i] {
			p.hears("words of " + earlier) // kept
		}
		proctest.Say(t, p.conn, "words of "+names[i])
		people = append(people, p)
		for _, each := range people {
			each.hears("words of " + names[i])
		}
	}
}
