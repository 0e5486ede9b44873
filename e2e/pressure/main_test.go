// Package pressure_test has clients and workers that do not read, and looks at the memory of gateways.
package pressure_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
