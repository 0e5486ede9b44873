// Package stats_test tests statistics from end to end: processes that report, pass on and keep.
package stats_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(2)
	leaktest.Main(m)
}
