package link

import (
	"testing"

	"sluice/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
