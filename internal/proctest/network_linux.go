package proctest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Network simulates another host: a network namespace that is connected to this host by a virtual
// cable. Cutting the cable sends nothing to either side.
type Network struct {
	Here, There string // addresses of the cable's two ends

	tb    testing.TB
	name  string // of the namespace
	cable string // the device of the cable on this host
}

var networks atomic.Uint32 // number of networks of this process, for their names

// NewNetwork creates a network for the test. It needs root and ip(8). Without them the test is
// skipped, or fails if CI is set and the user is root.
func NewNetwork(tb testing.TB) *Network {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("NOT TESTED: network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil && os.Getenv("CI") != "true" {
		tb.Skip("NOT TESTED: there is no ip(8) (iproute2)")
	}
	i, pid := networks.Add(1)-1, os.Getpid()
	n := &Network{tb: tb, name: fmt.Sprintf("slu%d-%d", pid, i)}
	n.cable = n.name + "h"
	base := fmt.Sprintf("198.%d.%d.", 18+pid>>8&1, pid&255) // the range for tests of networks (RFC 2544)
	n.Here, n.There = fmt.Sprint(base, 4*i+1), fmt.Sprint(base, 4*i+2)
	far := n.name + "n"
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("ip netns add: %v: %s", err, out)
		}
		tb.Skipf("NOT TESTED: ip netns add: %v: %s", err, out)
	}
	tb.Cleanup(func() {
		n.ip("link del " + n.cable)
		n.ip("netns del " + n.name)
	})
	n.ip("link add " + n.cable + " type veth peer name " + far)
	n.ip("link set " + far + " netns " + n.name)
	n.ip("addr add " + n.Here + "/30 dev " + n.cable)
	n.ip("link set " + n.cable + " up")
	n.ip("-n " + n.name + " addr add " + n.There + "/30 dev " + far)
	n.ip("-n " + n.name + " link set " + far + " up")
	n.ip("-n " + n.name + " link set lo up")
	return n
}

func (n *Network) ip(command string) {
	n.tb.Helper()
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		n.tb.Errorf("ip %s: %v: %s", command, err, out)
	}
}

// Cut disconnects the cable. Sent bytes are lost without an error.
func (n *Network) Cut() { n.ip("link set " + n.cable + " down") }

// Heal connects the cable again.
func (n *Network) Heal() { n.ip("link set " + n.cable + " up") }

// Cable connects two hosts other than this one.
type Cable struct {
	From, To string // addresses of its two ends

	from *Network
	dev  string // its device in the network of from
}

// Connect connects two networks by a cable of their own, beside those to this host.
func (n *Network) Connect(to *Network) *Cable {
	n.tb.Helper()
	i, pid := networks.Add(1)-1, os.Getpid()
	name := fmt.Sprintf("slu%d-%d", pid, i)
	base := fmt.Sprintf("198.%d.%d.", 18+pid>>8&1, pid&255)
	c := &Cable{From: fmt.Sprint(base, 4*i+1), To: fmt.Sprint(base, 4*i+2), from: n, dev: name + "h"}
	n.ip("link add " + c.dev + " netns " + n.name + " type veth peer name " + name + "n netns " + to.name)
	n.ip("-n " + n.name + " addr add " + c.From + "/30 dev " + c.dev)
	n.ip("-n " + to.name + " addr add " + c.To + "/30 dev " + name + "n")
	n.ip("-n " + n.name + " link set " + c.dev + " up")
	n.ip("-n " + to.name + " link set " + name + "n up")
	return c
}

// Cut disconnects the cable. Sent bytes are lost without an error.
func (c *Cable) Cut() { c.from.ip("-n " + c.from.name + " link set " + c.dev + " down") }

// Heal connects the cable again.
func (c *Cable) Heal() { c.from.ip("-n " + c.from.name + " link set " + c.dev + " up") }

// Command returns the command that runs a program on the other host.
func (n *Network) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.name, name}, args...)...)
}

// Start runs a program on the other host, as the function Start does on this host.
func (n *Network) Start(name string, args ...string) *Process {
	n.tb.Helper()
	return Start(n.tb, nil, "ip", append([]string{"netns", "exec", n.name, name}, args...)...)
}

// Dial connects to an address from the other host.
func (n *Network) Dial(addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		conn, err := n.dial(addr)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// dial is for a goroutine of its own, whose thread is on the other host meanwhile. The thread must
// not end then: the kernel would kill the servers and browsers that tests have started from it.
func (n *Network) dial(addr string) (net.Conn, error) {
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer func() { _ = here.Close() }()
	there, err := os.Open("/run/netns/" + n.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = there.Close() }()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: 10 * time.Second}
	conn, err := d.Dial("tcp", addr)
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // this thread would go on there
	}
	return conn, err
}
