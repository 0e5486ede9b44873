// Package drain_test ends gateways while clients talk, and has successors take their ports.
package drain_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(2)
	leaktest.Main(m)
}
