package engine

import "os"

// childMain runs what a test re-executed the binary for.
func childMain() bool {
	return os.Getenv("ENGINE_TEST_CHILD") != ""
}
