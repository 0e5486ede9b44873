//go:build !linux

package worker

func yield() {}
