// Package e2e_test tests the program as others meet it: with clients and proxies that others have written.
package e2e_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
