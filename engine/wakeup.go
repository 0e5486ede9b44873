package engine

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// wakeupPair makes the socket pair by which a loop wakes itself in its next round
// of I/O. gnet's own wake-up serves tasks until none is left before it looks at
// a socket again, so what re-arms itself there would starve the connections.
func wakeupPair() (near int, far net.Conn, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, nil, os.NewSyscallError("socketpair", err)
	}
	f := os.NewFile(uintptr(fds[1]), "kick")
	defer f.Close() //nolint:errcheck // FileConn has its own descriptor
	if err = unix.SetNonblock(fds[0], true); err == nil {
		far, err = net.FileConn(f)
	}
	if err != nil {
		closeWakeupPair(fds[0])
		return 0, nil, err
	}
	return fds[0], far, nil
}

func closeWakeupPair(fd int) { _ = unix.Close(fd) }

// closeWakeup comes after the reactor has ended.
func (l *Loop) closeWakeup() { closeWakeupPair(l.wakeup) }

// wakeSelf arranges a run in the next round. One byte at most is under way, so
// the write cannot find the socket full.
func (l *Loop) wakeSelf() {
	if l.kicked {
		return
	}
	l.kicked = true
	if _, err := unix.Write(l.wakeup, []byte{1}); err != nil {
		l.kicked = false
		l.engine.cfg.Logger.Error("engine: a loop could not wake itself", "loop", l.index, "error", err)
	}
}
