//go:build !linux

package engine

// unsentBytes is not known here: a peer is judged by what the kernel takes alone.
func unsentBytes(int) int { return 0 }
