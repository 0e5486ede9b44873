//go:build !linux

package bench_test

import "errors"

// The floors need epoll(7).
func serveFloor() error { return errors.ErrUnsupported }
func serveHops() error  { return errors.ErrUnsupported }
func servePeer() error  { return errors.ErrUnsupported }
