package bench

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/internal/procfs"
)

// machine describes this machine, as far as the system tells.
func machine() Machine {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Kernel: strings.TrimSpace(string(kernel)),
		CPU:    procfs.Field("/proc/cpuinfo", "model name"),
		Memory: uint64(procfs.Bytes(procfs.Field("/proc/meminfo", "MemTotal"))),
	}
}

// Foreign is what the processors did in the window besides the generator and the measured servers.
// It covers the processors that these may run on.
type Foreign struct {
	CPUs  int     `json:"cpus"`  // number of these processors
	Cores float64 `json:"cores"` // kept busy by other programs
	Steal float64 `json:"steal"` // taken by the hypervisor
	// Servers means that the servers may be among the other programs: they may be on this machine,
	// and Options.PIDs names no process.
	Servers bool `json:"servers,omitempty"`
}

// foreignLeast is the shortest window with foreign CPU time, which the
// system counts in ticks of 10 ms.
const foreignLeast = time.Second

// foreign returns what others used since the first reading; nil if that is not known.
func (r *run) foreign(first reading) *Foreign {
	window := r.last.at - first.at
	if len(r.processors) == 0 || window < foreignLeast {
		return nil
	}
	busy := r.last.machine.Busy - first.machine.Busy - (r.last.mine - first.mine)
	for i, u := range r.last.servers {
		busy -= u.CPU - first.servers[i].CPU
	}
	return &Foreign{
		CPUs: len(r.processors), Cores: max(busy.Seconds(), 0) / window.Seconds(),
		Steal:   (r.last.machine.Steal - first.machine.Steal).Seconds() / window.Seconds(),
		Servers: len(r.opts.PIDs) == 0 && isHere(&r.opts),
	}
}

// usableProcessors are those that this process and the measured servers may run on.
func usableProcessors(measured []PID) map[int]bool {
	pids := []int{os.Getpid()}
	for _, p := range measured {
		pids = append(pids, p.PID)
	}
	return procfs.Processors(pids...)
}

// isHere reports whether a target may be on this machine.
func isHere(o *Options) bool {
	addrs, err := dialAddrs(o)
	own, err2 := net.InterfaceAddrs()
	return err != nil || err2 != nil || slices.ContainsFunc(addrs, func(addr string) bool {
		ip := ipOf(addr).WithZone("")
		return !ip.IsValid() || ip.IsLoopback() || ip.IsUnspecified() || slices.ContainsFunc(own, func(n net.Addr) bool {
			p, err := netip.ParsePrefix(n.String())
			return err != nil || p.Addr().Unmap() == ip
		})
	})
}
