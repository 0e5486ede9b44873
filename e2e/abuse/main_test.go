// Package abuse_test has clients that mean harm: floods, slow handshakes, bombs, and descriptors
// that run out.
package abuse_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
