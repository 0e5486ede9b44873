package directory_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/redistest"
)

// The primary of the directory is killed while people of two gateways talk, and Sentinel makes its
// replica the primary. No link and no message is lost, no message is doubled, the rows are there,
// and a gateway that starts afterwards is found.
func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	w := redistest.Sentinel(t, 1)
	c := clusterAt(t, w.URL(), 2, 2)
	c.certain()
	load := c.chat(6 * time.Second)
	first := w.Primary()
	first.Kill()
	began := time.Now()
	w.AwaitPrimary(first)
	t.Log("another primary after", time.Since(began).Round(time.Millisecond))
	proctest.Await(t, "the rows are there", func() bool {
		keys, err := w.Primary().Try("keys", "*:row:gateway/*")
		return err == nil && len(strings.Fields(keys)) >= 2
	})
	t.Log("rows after", time.Since(began).Round(time.Millisecond))
	c.answers("1")
	undisturbed(t, slices.Concat(c.gateways, c.workers)...)
	third := c.gateway()
	t.Log("a gateway that joined afterwards was in use after", c.inUse(third))
	c.endsClean(load)
	c.certain()
	c.endsClean(c.chat(2 * time.Second))
}

// Slots of a Cluster that have rows, sets and what else there is of the directory move to other
// nodes, while people talk and gateways join, leave and crash. No link and no message is lost, no
// message is doubled, and gateways are found and given up as ever.
func TestSlotsMigrate(t *testing.T) {
	t.Parallel()
	n := redistest.Cluster(t)
	c := clusterAt(t, n.URL(), 2, 2)
	c.certain()
	load := c.chat(6 * time.Second)
	proctest.Await(t, "people are in the directory", func() bool { return len(keysOf(n, ":set:")) > 50 })

	moveSlots(t, n, ":generation", 2)
	moveSlots(t, n, ":set:", 3)
	third := c.gateway()
	moveSlots(t, n, "gateway", 10)
	t.Log("a gateway was in use after", c.inUse(third))
	c.found(third, c.workers[1])
	fourth := c.gateway()
	if code := third.Terminate(); code != 0 {
		t.Errorf("a gateway that leaves: exit code %d", code)
	}
	moveSlots(t, n, "gateway", 10)
	c.found(fourth, c.workers[1])
	fourth.Kill()
	c.workers[1].AwaitLog("gateway given up", 2)
	t.Log("a gateway that joined afterwards was in use after", c.inUse(c.gateway()))
	c.endsClean(load)
	undisturbed(t, c.gateways[:2]...)
}

// keysOf returns the keys of a Cluster that contain a text.
func keysOf(n *redistest.Nodes, text string) (keys []string) {
	for _, s := range n.Servers {
		keys = append(keys, strings.Fields(s.Do("keys", "*"+text+"*"))...)
	}
	return keys
}

// moveSlots moves the slots of up to most keys that contain a text, each to the next node.
func moveSlots(t *testing.T, n *redistest.Nodes, text string, most int) {
	t.Helper()
	moved := make(map[string]bool)
	for _, key := range keysOf(n, text) {
		from, slot := n.Owner(key)
		if moved[slot] || len(moved) == most {
			continue
		}
		moved[slot] = true
		to := (from + 1) % len(n.Servers)
		n.Begin(slot, from, to)
		n.Finish(slot, from, to)
	}
	if len(moved) == 0 {
		t.Errorf("no key contains %q", text)
	}
	t.Logf("%d slots of keys with %q have moved", len(moved), text)
}
