package doctor_test

import (
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/seed-7410fe32/sluice/internal/doctor"
)

// machine is a Linux machine with 8 GiB of memory and files that differ from it.
func machine(differ map[string]string) doctor.Machine {
	files := map[string]string{
		"proc/sys/fs/file-max":                       "9223372036854775807",
		"proc/sys/net/core/somaxconn":                "4096",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":      "1024",
		"proc/sys/net/ipv4/ip_local_port_range":      "32768\t60999",
		"proc/sys/net/netfilter/nf_conntrack_max":    "262144",
		"proc/sys/net/netfilter/nf_conntrack_count":  "144",
		"proc/meminfo":                               "MemTotal:        8388608 kB\nSwapTotal:             0 kB\n",
		"proc/self/cgroup":                           "0::/system.slice/sluice.service\n",
		"sys/fs/cgroup/system.slice/memory.max":      "max\n",
		"sys/fs/cgroup/system.slice/cpu.max":         "max 100000\n",
		"sys/fs/cgroup/unrelated.slice/memory.max":   "1\n",
		"sys/fs/cgroup/system.slice/another/cpu.max": "1 100000\n",
	}
	maps.Copy(files, differ)
	root := make(fstest.MapFS)
	for name, text := range files {
		if text != "" {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return doctor.Machine{Root: root, Files: 1024, Processors: 4}
}

// limit returns the limit that a check has found.
func limit(t *testing.T, m doctor.Machine, check string) int {
	t.Helper()
	all := doctor.Examine(m)
	i := slices.IndexFunc(all, func(f doctor.Finding) bool { return f.Check == check })
	if i < 0 {
		t.Fatalf("there is no %s in %v", check, all)
	}
	if f := all[i]; f.Now == "" || f.Effect == "" || f.Mend == "" {
		t.Errorf("%+v", f)
	}
	return all[i].Limit
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const own = "sys/fs/cgroup/system.slice/sluice.service/"
	for _, c := range []struct {
		check  string
		differ map[string]string
		want   int
	}{
		{"descriptors", nil, 1024 - 64 - 64},
		{"net.core.somaxconn", nil, 40960},
		{"net.core.somaxconn", map[string]string{"proc/sys/net/core/somaxconn": "128\n"}, 1280},
		{"net.ipv4.tcp_max_syn_backlog", nil, 10240},
		{"net.ipv4.ip_local_port_range", nil, 28232},
		{"net.netfilter.nf_conntrack_max", nil, 262000},
		{"memory", nil, 512 << 10},
		{"memory of the cgroup", map[string]string{own + "memory.max": "134217728"}, 8192},
		{"memory of the cgroup", map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "134217728"}, 8192},
		{"memory", map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 512 << 10},
		{"CPU quota", nil, -1},
		{"CPU quota", map[string]string{own + "cpu.max": "50000 100000"}, 0},
		{"CPU quota", map[string]string{own + "cpu.max": "150000 100000"}, 0},
		{"CPU quota", map[string]string{own + "cpu.max": "200000 100000"}, -1},
		{"CPU quota", map[string]string{own + "cpu.max": "650000 100000"}, -1},
		{"CPU quota", map[string]string{"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 0},
		{"swap", nil, -1},
		{"swap", map[string]string{"proc/meminfo": "MemTotal: 8 kB\nSwapTotal: 2097148 kB\n"}, 0},
	} {
		if got := limit(t, machine(c.differ), c.check); got != c.want {
			t.Errorf("%s with %v: %d, want %d", c.check, c.differ, got, c.want)
		}
	}
}

// What a system does not have is left out. The largest numbers do not overflow.
func TestOtherSystems(t *testing.T) {
	t.Parallel()
	all := doctor.Examine(doctor.Machine{Root: fstest.MapFS{}, Files: 1<<64 - 1, Processors: 1})
	for _, f := range all {
		if f.Check != "descriptors" && f.Check != "CPU quota" || f.Hurts(1_000_000) {
			t.Errorf("%+v", f)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d findings", len(all))
	}
}

func TestHurts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit, clients int
		want           bool
	}{{-1, 1 << 30, false}, {0, 1, true}, {100, 100, false}, {100, 101, true}} {
		if f := (doctor.Finding{Limit: c.limit}); f.Hurts(c.clients) != c.want {
			t.Errorf("limit %d, %d clients", c.limit, c.clients)
		}
	}
}
