package engine

import (
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// descriptorMargin is the distance to the descriptor limit from which the accept goroutine checks
// each connection: registering takes a second descriptor for a moment, and many may be in progress.
const descriptorMargin = maxRegistering + 64

// nearDescriptorLimit reports whether descriptors are about to run out.
func (ln *Listener) nearDescriptorLimit(nc net.Conn) bool {
	fd := descriptor(nc)
	return fd >= 0 && uint64(fd)+descriptorMargin >= ln.maxFD
}

// awaitDescriptor waits until nc can be registered. A connection that was accepted with the last
// descriptor must not be lost because there is no second one. It must not take a reserved
// descriptor either. awaitDescriptor returns false if the listener was closed meanwhile.
func (ln *Listener) awaitDescriptor(nc net.Conn) bool {
	ln.collectRegistrations(0) // this listener is then not about to take one
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
			return true // registering will return the error
		}
		ln.update(func(s *ListenerStats) { s.Backoffs++ })
		if !ln.sleep(backoff) {
			return false
		}
	}
}

// descriptor returns nc's descriptor, or -1 if it has none.
func descriptor(nc net.Conn) int {
	fd := -1
	if sc, ok := nc.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			_ = rc.Control(func(u uintptr) { fd = int(u) })
		}
	}
	return fd
}

// descriptorLimit returns how many descriptors a listener may use when reserve are kept for other
// uses.
func descriptorLimit(reserve int) uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return math.MaxUint64 // the kernel will report a lack of descriptors
	}
	limit := uint64(l.Cur) // Cur is signed on some systems
	return limit - min(limit/2, uint64(max(reserve, 0)))
}
