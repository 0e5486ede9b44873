// Package procfs reads from /proc what the system reports about a process.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Exists reports whether the process exists. It returns true if that cannot be determined.
func Exists(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// tick is the unit of processor time in /proc. USER_HZ is 100 on all platforms that Go supports.
const tick = 10 * time.Millisecond

// CPUTime returns the user and system time that a process has used (proc(5), /proc/PID/stat fields
// 14 and 15, in ticks of 10 ms), or 0 without /proc.
func CPUTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in field 2 may contain any characters, so the fields are counted from its end.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * tick
}

// Resident returns a process's resident memory in bytes (VmRSS), or 0 without /proc.
func Resident(pid int) int { return Bytes(Status(pid, "VmRSS")) }

// TakePeak returns the largest resident memory of a process in bytes since the last call (VmHWM),
// or 0 without /proc. It resets the peak by /proc/PID/clear_refs; where the system does not allow
// that, the peak is that since the start of the process.
func TakePeak(pid int) int {
	peak := Bytes(Status(pid, "VmHWM"))
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	return peak
}

// Status returns the value of a key in /proc/PID/status (proc(5)), or "".
func Status(pid int, key string) string { return Field(fmt.Sprintf("/proc/%d/status", pid), key) }

// Field returns the value of the first line "key: value" of a file, or "".
func Field(file, key string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Bytes parses a size as /proc writes it, "123 kB". It returns 0 for anything else.
func Bytes(v string) int {
	kb, _ := strconv.Atoi(strings.TrimSuffix(v, " kB"))
	return kb << 10
}
