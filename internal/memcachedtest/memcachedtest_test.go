package memcachedtest_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/memcachedtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestServer(t *testing.T) {
	t.Parallel()
	s := memcachedtest.Start(t, "-m", "16")
	set := func(want string) {
		t.Helper()
		if got := s.Do("add k 0 0 1\r\nv"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	set("STORED")
	s.Pause()
	s.Resume()
	set("NOT_STORED")
	s.Kill()
	s.Kill()
	s.Restart()
	set("STORED")
}
