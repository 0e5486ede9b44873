package procfs

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Processors returns the numbers of the processors that at least one of the processes may run on
// (proc(5), Cpus_allowed_list of /proc/PID/status). It is empty without /proc.
func Processors(pids ...int) map[int]bool {
	all := make(map[int]bool)
	for _, pid := range pids {
		addList(all, Status(pid, "Cpus_allowed_list"))
	}
	return all
}

// addList adds the numbers of a list such as "0-3,8".
func addList(all map[int]bool, list string) {
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil {
			continue
		}
		for n := first; n <= last; n++ {
			all[n] = true
		}
	}
}

// Spent is the time of processors since the system started.
type Spent struct {
	Busy  time.Duration // used by programs: user, nice and system time
	Steal time.Duration // given to another virtual machine by the hypervisor
}

// SpentBy returns the times of the processors with these numbers (proc(5), /proc/stat, in ticks of
// 10 ms), or 0 without /proc. Interrupt time is excluded: some kernels also count it for the
// program that was interrupted (CONFIG_IRQ_TIME_ACCOUNTING).
func SpentBy(processors map[int]bool) Spent {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Spent{}
	}
	return spent(string(b), processors)
}

// These are the fields of a processor's line in /proc/stat.
const (
	statUser = 1 + iota
	statNice
	statSystem
	statIdle
	statIOWait
	statIRQ
	statSoftIRQ
	statSteal
)

func spent(stat string, processors map[int]bool) (sum Spent) {
	for line := range strings.Lines(stat) {
		f := strings.Fields(line)
		if len(f) <= statSteal {
			continue
		}
		number, isProcessor := strings.CutPrefix(f[0], "cpu")
		if n, err := strconv.Atoi(number); !isProcessor || err != nil || !processors[n] {
			continue
		}
		ticks := func(i int) time.Duration {
			n, _ := strconv.ParseInt(f[i], 10, 64)
			return time.Duration(n) * tick
		}
		sum.Busy += ticks(statUser) + ticks(statNice) + ticks(statSystem)
		sum.Steal += ticks(statSteal)
	}
	return sum
}
