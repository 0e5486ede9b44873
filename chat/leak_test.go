package chat_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m, browsertest.End) }
