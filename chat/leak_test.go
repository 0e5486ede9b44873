package chat_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	suite.Beside(4)
	leaktest.Main(m, browsertest.End)
}
