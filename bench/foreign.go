package bench

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/procfs"
)

// Foreign is what the processors did in the window for others than the generator and the measured servers. It is of the processors that those may run on.
type Foreign struct {
	CPUs  int     `json:"cpus"`  // how many processors these are
	Cores float64 `json:"cores"` // kept busy by other programs
	Steal float64 `json:"steal"` // cores that the machine, a virtual one, was to have and did not get
	// Servers tells that the servers may be among the other programs: they are on this machine, or may be, and Options.PIDs names no process.
	Servers bool `json:"servers,omitempty"`
}

// foreignLeast is the shortest window in which foreign CPU time is told: it is read in ticks of 10 ms.
const foreignLeast = time.Second

// foreign is what others did since the first reading; nil where the system does not tell, and for a window that is too short.
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
		CPUs: len(r.processors), Cores: max(busy.Seconds(), 0) / window.Seconds(), Steal: (r.last.machine.Steal - first.machine.Steal).Seconds() / window.Seconds(),
		Servers: len(r.opts.PIDs) == 0 && r.opts.isHere(),
	}
}

// processors are those that this process and the measured servers may run on.
func (o *Options) processors() map[int]bool {
	pids := []int{os.Getpid()}
	for _, p := range o.PIDs {
		pids = append(pids, p.PID)
	}
	return procfs.Processors(pids...)
}

// isHere tells whether one of the targets is on this machine; true where that is not certain.
func (o *Options) isHere() bool {
	addrs, err := o.addrs()
	own, err2 := net.InterfaceAddrs()
	return err != nil || err2 != nil || slices.ContainsFunc(addrs, func(addr string) bool {
		ip := ipOf(addr).WithZone("")
		return !ip.IsValid() || ip.IsLoopback() || ip.IsUnspecified() || slices.ContainsFunc(own, func(n net.Addr) bool {
			p, err := netip.ParsePrefix(n.String())
			return err != nil || p.Addr().Unmap() == ip
		})
	})
}
