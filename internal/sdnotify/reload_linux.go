package sdnotify

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Reloading returns the state of a process that reads its configuration again. Ready must follow,
// whatever the result.
func Reloading() string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // fails for unknown clocks only
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}
