// Package cli_test tests the command line: what it refuses, and that each flag does what it says.
package cli_test

import (
	"testing"

	"sluice/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
