package doctor

import (
	"errors"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// memory is that of the cgroup, or of the machine if there is less.
func memory(m Machine) (Finding, bool) {
	bytes, ok := m.meminfo("MemTotal")
	f := Finding{
		Check: "memory", Effect: "the kernel kills the process, or the machine swaps",
		Mend: "add memory, or other gateways on other machines",
	}
	if limit, found := m.cgroupLimit("memory.max", "memory/memory.limit_in_bytes"); found && (!ok || limit < bytes) {
		bytes, ok = limit, true
		f.Check, f.Effect = "memory of the cgroup", "the kernel kills the process"
		f.Mend = "systemd: MemoryMax=; Kubernetes: resources.limits.memory; and set GOMEMLIMIT to 90 % of it"
	}
	f.Now, f.Limit = sizeOf(bytes), int(min(bytes/2/clientMemory, math.MaxInt32)) // half is for messages
	return f, ok
}

// quota is how many processors' time the cgroup may use.
func quota(m Machine) (Finding, bool) {
	processors, ok := math.Inf(1), false
	for _, dir := range m.cgroups() {
		words := strings.Fields(m.text(path.Join(dir, "cpu.max")))
		if len(words) != 2 || words[0] == "max" {
			continue
		}
		time, err1 := strconv.ParseFloat(words[0], 64)
		period, err2 := strconv.ParseFloat(words[1], 64)
		if err1 == nil && err2 == nil && period > 0 {
			processors, ok = min(processors, time/period), true
		}
	}
	time, found1 := m.number("sys/fs/cgroup/cpu/cpu.cfs_quota_us")
	period, found2 := m.number("sys/fs/cgroup/cpu/cpu.cfs_period_us")
	if found1 && found2 && time > 0 && period > 0 {
		processors, ok = min(processors, float64(time)/float64(period)), true
	}
	f := Finding{
		Check: "CPU quota", Now: "none", Limit: never,
		Effect: "the kernel stops the process for parts of each 100 ms",
		Mend:   "systemd: CPUQuota=; Kubernetes: resources.limits.cpu of whole processors, or none",
	}
	if ok {
		f.Now = strconv.FormatFloat(processors, 'g', 3, 64) + " processors"
		if processors < 1 {
			f.Limit = 0
		} else if processors < float64(m.Processors) && processors != math.Trunc(processors) {
			f.Limit = 0 // the Go runtime rounds up, and uses its time up before the period ends
		}
	}
	return f, true
}

// cgroupLimit returns the smallest limit of the process's cgroup and those above it.
func (m Machine) cgroupLimit(v2, v1 string) (limit int64, ok bool) {
	limit = math.MaxInt64
	files := []string{path.Join("sys/fs/cgroup", v1)}
	for _, dir := range m.cgroups() {
		files = append(files, path.Join(dir, v2))
	}
	for _, file := range files {
		if n, found := m.bytes(file); found && n > 0 && n < limit {
			limit, ok = n, true
		}
	}
	return limit, ok
}

// cgroups returns the folders of the process's cgroup (version 2) and those above it.
func (m Machine) cgroups() (dirs []string) {
	own := "/"
	for line := range strings.Lines(m.text("proc/self/cgroup")) {
		if at, found := strings.CutPrefix(strings.TrimSpace(line), "0::"); found {
			own = at
		}
	}
	for at := path.Clean("/" + own); ; at = path.Dir(at) {
		dirs = append(dirs, path.Join("sys/fs/cgroup", at))
		if at == "/" {
			return dirs
		}
	}
}

// text returns a file, or "" if it cannot be read.
func (m Machine) text(name string) string {
	b, err := fs.ReadFile(m.Root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// number returns the number in a file. One that is too large for an int is the largest int.
func (m Machine) number(name string) (n int, ok bool) {
	all, ok := m.bytes(name)
	return int(min(all, math.MaxInt)), ok
}

// bytes is number with 64 bits.
func (m Machine) bytes(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(m.text(name), 10, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}

// meminfo returns a line of /proc/meminfo in bytes.
func (m Machine) meminfo(name string) (bytes int64, ok bool) {
	for line := range strings.Lines(m.text("proc/meminfo")) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == name+":" {
			n, err := strconv.ParseInt(words[1], 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}

// sizeOf is a number of bytes in words.
func sizeOf(n int64) string {
	switch {
	case n == 0:
		return "none"
	case n < 10<<30:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt(n>>30, 10) + " GiB"
}
