// Package e2e_test tests the program as others meet it: with clients and proxies that others have written.
package e2e_test

import (
	"testing"

	"sluice/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
