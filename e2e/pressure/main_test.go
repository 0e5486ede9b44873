// Package pressure_test has clients and workers that do not read, and looks at the memory of
// gateways.
package pressure_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(2)
	leaktest.Main(m)
}
