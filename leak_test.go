package main_test

import (
	"testing"

	"sluice/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
