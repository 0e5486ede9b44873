// Package abuse_test has clients that do harm: floods of connections, slow handshakes,
// decompression bombs, and the use of all descriptors.
package abuse_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
