package bench

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// machine describes this one, as far as it tells.
func machine() Machine {
	return Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Kernel: strings.TrimSpace(readFile("/proc/sys/kernel/osrelease")),
		CPU:    field(readFile("/proc/cpuinfo"), "model name"),
		Memory: kilobytes(field(readFile("/proc/meminfo"), "MemTotal")),
	}
}

// readFile is what the file holds; nothing where there is none.
func readFile(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(b)
}

// field is the value of the first line "key: value" of a /proc file.
func field(file, key string) string {
	for line := range strings.Lines(file) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// kilobytes reads a size as /proc writes it, "123 kB", in bytes.
func kilobytes(v string) uint64 {
	kb, err := strconv.ParseUint(strings.TrimSuffix(v, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}
