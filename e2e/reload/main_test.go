// Package reload_test replaces workers while clients talk, and sends signals at any time.
package reload_test

import (
	"testing"

	"sluice/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
