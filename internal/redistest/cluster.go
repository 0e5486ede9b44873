package redistest

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// Nodes is a Cluster of three primaries, each with a third of the slots.
type Nodes struct {
	Servers []*Server

	tb testing.TB
}

// Cluster starts a Cluster. Nodes call another one down after five seconds.
func Cluster(tb testing.TB) *Nodes {
	tb.Helper()
	n := &Nodes{tb: tb}
	var bus []string
	for i := range 3 {
		port := freePort(tb)
		s := Start(tb, "--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "5000",
			"--cluster-announce-ip", "127.0.0.1")
		n.Servers, bus = append(n.Servers, s), append(bus, port)
		s.Do("cluster", "set-config-epoch", strconv.Itoa(i+1))
		s.Do("cluster", "addslotsrange", strconv.Itoa(i*16384/3), strconv.Itoa((i+1)*16384/3-1))
	}
	for i, s := range n.Servers[1:] {
		n.Servers[0].Do("cluster", "meet", "127.0.0.1", s.port, bus[i+1])
	}
	for _, s := range n.Servers {
		s.Await("cluster_state:ok", "cluster", "info")
		s.Await("cluster_known_nodes:3", "cluster", "info")
		s.Await("cluster_slots_ok:16384", "cluster", "info")
	}
	return n
}

// URL returns the URL of the Cluster, with one of its nodes.
func (n *Nodes) URL() string { return "redis+cluster://" + n.Servers[0].Addr }

// Owner returns the index of the node that serves the slot of a key, and the slot.
func (n *Nodes) Owner(key string) (node int, slot string) {
	n.tb.Helper()
	slot = n.Servers[0].Do("cluster", "keyslot", key)
	at, err := strconv.Atoi(slot)
	if err != nil {
		n.tb.Fatal(err)
	}
	for i, s := range n.Servers {
		for line := range strings.SplitSeq(s.Do("cluster", "nodes"), "\n") {
			if fields := strings.Fields(line); len(fields) > 8 && strings.Contains(fields[2], "myself") {
				for _, r := range fields[8:] {
					low, high, ok := strings.Cut(r, "-")
					if !ok {
						high = low
					}
					first, err1 := strconv.Atoi(low)
					last, err2 := strconv.Atoi(high)
					if err1 == nil && err2 == nil && first <= at && at <= last {
						return i, slot
					}
				}
			}
		}
	}
	n.tb.Fatalf("no node serves slot %s", slot)
	return 0, ""
}

// Begin begins to move a slot from one node to another: keys that are there stay for the moment,
// new ones are made at the other.
func (n *Nodes) Begin(slot string, from, to int) {
	n.tb.Helper()
	n.Servers[to].Do("cluster", "setslot", slot, "importing", n.id(from))
	n.Servers[from].Do("cluster", "setslot", slot, "migrating", n.id(to))
}

// Finish moves the keys of the slot and gives it to the other node.
func (n *Nodes) Finish(slot string, from, to int) {
	n.tb.Helper()
	for {
		keys := strings.Fields(n.Servers[from].Do("cluster", "getkeysinslot", slot, "100"))
		if len(keys) == 0 {
			break
		}
		n.Servers[from].Do(append([]string{"migrate", "127.0.0.1", n.Servers[to].port, "", "0", "5000", "keys"}, keys...)...)
		time.Sleep(time.Millisecond)
	}
	for _, i := range []int{to, from, 3 - to - from} {
		n.Servers[i].Do("cluster", "setslot", slot, "node", n.id(to))
	}
}

func (n *Nodes) id(node int) string { return n.Servers[node].Do("cluster", "myid") }
