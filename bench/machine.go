package bench

import (
	"os"
	"runtime"
	"strings"

	"github.com/seed-7410fe32/sluice/internal/procfs"
)

// machine describes this one, as far as it tells.
func machine() Machine {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Kernel: strings.TrimSpace(string(kernel)),
		CPU:    procfs.Field("/proc/cpuinfo", "model name"),
		Memory: uint64(procfs.Bytes(procfs.Field("/proc/meminfo", "MemTotal"))),
	}
}
