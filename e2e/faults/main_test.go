// Package faults_test kills, freezes and cuts off workers and gateways while clients talk, and
// audits every message.
package faults_test

import (
	"os"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

func TestMain(m *testing.M) {
	if inner := os.Getenv(mortalEnv); inner != "" {
		runMortal(inner)
		return
	}
	suite.Beside(3)
	leaktest.Main(m)
}
