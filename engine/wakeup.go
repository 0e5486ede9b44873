package engine

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// wakeupPair creates the socket pair by which a loop wakes itself for its next round of I/O. gnet's
// own wake-up runs tasks until none are left before it looks at a socket again. A task that
// schedules itself there would starve the connections.
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
	f := os.NewFile(uintptr(fds[1]), "wakeup")
	defer f.Close()
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

// closeWakeup must be called after the event loop has ended.
func (l *Loop) closeWakeup() { closeWakeupPair(l.wakeup) }

// wakeSelf schedules a run in the next round of I/O. At most one byte is on its way, so the socket
// cannot be full.
func (l *Loop) wakeSelf() {
	if l.wakePending {
		return
	}
	l.wakePending = true
	if _, err := unix.Write(l.wakeup, []byte{1}); err != nil {
		l.wakePending = false
		l.engine.cfg.Logger.Error("event loop cannot wake itself", "loop", l.index, "err", err)
	}
}
