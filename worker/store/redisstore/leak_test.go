package redisstore

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/redistest"
)

func TestMain(m *testing.M) { leaktest.Main(m, redistest.AwaitClients) }
