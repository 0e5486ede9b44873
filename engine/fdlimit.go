package engine

import (
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// scarce is how near to the limit a descriptor makes the accept goroutine careful: enrolling takes a second one for a moment, and many may be under way.
const scarce = maxEnrolling + 64

// nearDescriptorLimit reports whether descriptors are about to run out.
func (ln *Listener) nearDescriptorLimit(nc net.Conn) bool {
	fd := descriptor(nc)
	return fd >= 0 && uint64(fd)+scarce >= ln.maxFD
}

// awaitDescriptor waits until nc can be enrolled: a connection that was accepted with the last descriptor must not be lost for want of another, nor may it take one that is
// reserved for others. It reports false when the listener is closed meanwhile.
func (ln *Listener) awaitDescriptor(nc net.Conn) bool {
	ln.collectRegistrations(0) // nobody else of ours is about to take one
	fd := descriptor(nc)
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		probe, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(probe)
		}
		if err == nil && uint64(probe) < ln.maxFD {
			return true
		}
		if err != nil && !exhausted(err) {
			return true // enrolling will say what is wrong
		}
		ln.count(func(s *ListenerStats) { s.Backoffs++ })
		if !ln.sleep(backoff) {
			return false
		}
	}
}

// descriptor is nc's, -1 when it tells none.
func descriptor(nc net.Conn) int {
	fd := -1
	if sc, ok := nc.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			_ = rc.Control(func(u uintptr) { fd = int(u) })
		}
	}
	return fd
}

// descriptorLimit is how many descriptors a listener may use with some reserved for others.
func descriptorLimit(reserve int) uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return math.MaxUint64 // the kernel will say
	}
	limit := uint64(l.Cur) //nolint:unconvert // it is signed on some systems
	return limit - min(limit/2, uint64(max(reserve, 0)))
}
