//go:build !linux

package sdnotify

// Reloading returns the state of a process that reads its configuration again. Ready must follow,
// whatever the result. systemd is on Linux only.
func Reloading() string { return "RELOADING=1" }
