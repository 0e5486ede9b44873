//go:build !linux

package memcachedtest

import "syscall"

// dieWithParent does nothing here: only Linux kills the children of a process that was killed.
func dieWithParent() *syscall.SysProcAttr { return nil }
