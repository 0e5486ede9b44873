// Package e2e_test tests the program as others meet it: with clients and proxies that others have
// written.
package e2e_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(2)
	leaktest.Main(m, browsertest.End)
}
