//go:build !linux

package keep

// limitFiles is for a test that runs on Linux.
func limitFiles(uint64) { panic("not on this system") }
