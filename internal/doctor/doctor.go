// Package doctor looks at the limits of a machine that a gateway meets with many clients.
package doctor

import (
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// Finding is a limit of the machine, and what it means for a gateway.
type Finding struct {
	Check string `json:"check"` // what was looked at
	Now   string `json:"now"`   // its value
	// Limit is the number of clients above which it hurts. 0: it hurts with any number. -1: it does
	// not hurt.
	Limit  int    `json:"limit"`
	Effect string `json:"effect"` // what happens above the limit
	Mend   string `json:"mend"`   // the command that raises it
}

// Hurts reports whether the limit hurts a gateway with so many clients.
func (f *Finding) Hurts(clients int) bool { return f.Limit >= 0 && clients > f.Limit }

// never is the Limit of what does not hurt.
const never = -1

const (
	// clientMemory is an estimate of what an idle client takes in gateway, worker and kernel, in
	// bytes.
	clientMemory = 8 << 10
	// otherFiles are descriptors of the process that are no clients: loops, listeners, the log.
	otherFiles = 64
	// burst is the part of the clients that come at once after a restart of a proxy or a gateway.
	burst = 10
)

// Machine is what Examine looks at.
type Machine struct {
	Root       fs.FS  // the root of the file system, for /proc and /sys
	Files      uint64 // descriptors that a process may have
	Processors int
}

// Examine returns the findings. What the system does not have is left out.
func Examine(m Machine) (all []Finding) {
	for _, check := range []func(Machine) (Finding, bool){
		descriptors, systemFiles, backlog, synBacklog, ports, conntrack, memory, quota, swap,
	} {
		if f, ok := check(m); ok {
			all = append(all, f)
		}
	}
	return all
}

// descriptors are those of the process. A gateway leaves a sixteenth of them, 8 to 1,024, to
// workers.
func descriptors(m Machine) (Finding, bool) {
	if m.Files == 0 {
		return Finding{}, false
	}
	files := int(min(m.Files, math.MaxInt32))
	return Finding{
		Check: "descriptors", Now: strconv.FormatUint(m.Files, 10),
		Limit:  max(files-min(max(files/16, 8), 1024)-otherFiles, 0),
		Effect: "new clients wait in the kernel",
		Mend:   "ulimit -n 1048576 (systemd: LimitNOFILE=1048576)",
	}, true
}

// systemFiles are the descriptors of all processes.
func systemFiles(m Machine) (Finding, bool) {
	n, ok := m.number("proc/sys/fs/file-max")
	return Finding{
		Check: "fs.file-max", Now: strconv.Itoa(n), Limit: max(n/10*9, 0),
		Effect: "no process can open files or connections", Mend: "sysctl -w fs.file-max=4194304",
	}, ok
}

func backlog(m Machine) (Finding, bool) {
	n, ok := m.number("proc/sys/net/core/somaxconn")
	return Finding{
		Check: "net.core.somaxconn", Now: strconv.Itoa(n), Limit: n * burst,
		Effect: "when a tenth of the clients connect at once, some are delayed by seconds",
		Mend:   "sysctl -w net.core.somaxconn=65535, then restart the gateway",
	}, ok
}

func synBacklog(m Machine) (Finding, bool) {
	n, ok := m.number("proc/sys/net/ipv4/tcp_max_syn_backlog")
	return Finding{
		Check: "net.ipv4.tcp_max_syn_backlog", Now: strconv.Itoa(n), Limit: n * burst,
		Effect: "when a tenth of the clients connect at once, the kernel sends SYN cookies",
		Mend:   "sysctl -w net.ipv4.tcp_max_syn_backlog=65535",
	}, ok
}

// ports bounds the connections from this machine to one address and port, those of a proxy here.
func ports(m Machine) (Finding, bool) {
	words := strings.Fields(m.text("proc/sys/net/ipv4/ip_local_port_range"))
	if len(words) != 2 {
		return Finding{}, false
	}
	low, err1 := strconv.Atoi(words[0])
	high, err2 := strconv.Atoi(words[1])
	return Finding{
		Check: "net.ipv4.ip_local_port_range", Now: words[0] + " " + words[1], Limit: max(high-low+1, 0),
		Effect: "a proxy on this machine cannot connect more clients to one address of a gateway",
		Mend:   `sysctl -w net.ipv4.ip_local_port_range="1024 65535", or several --listen addresses`,
	}, err1 == nil && err2 == nil
}

func conntrack(m Machine) (Finding, bool) {
	most, ok := m.number("proc/sys/net/netfilter/nf_conntrack_max")
	if !ok {
		return Finding{}, false // the firewall does not follow connections
	}
	used, _ := m.number("proc/sys/net/netfilter/nf_conntrack_count")
	return Finding{
		Check: "net.netfilter.nf_conntrack_max", Now: strconv.Itoa(used) + " of " + strconv.Itoa(most),
		Limit: max(most-used, 0), Effect: "the kernel drops packets of new connections",
		Mend: "sysctl -w net.netfilter.nf_conntrack_max=1048576",
	}, true
}

func swap(m Machine) (Finding, bool) {
	n, ok := m.meminfo("SwapTotal")
	f := Finding{
		Check: "swap", Now: sizeOf(n), Limit: never, Effect: "a gateway whose memory is swapped out answers late",
		Mend: "swapoff -a (systemd: MemorySwapMax=0)",
	}
	if n > 0 {
		f.Limit = 0
	}
	return f, ok
}
