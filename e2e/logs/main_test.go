// Package logs_test has standard error and output that nobody reads, or that cannot be written.
package logs_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(2)
	leaktest.Main(m)
}
