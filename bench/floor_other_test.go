//go:build !linux

package bench_test

import "errors"

// serveFloor needs epoll(7).
func serveFloor() error { return errors.ErrUnsupported }
