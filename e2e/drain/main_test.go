// Package drain_test ends gateways while clients talk, and has successors take their ports.
package drain_test

import (
	"testing"

	"sluice/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
