package redisdir_test

import (
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory/directorytest"
	"github.com/seed-7410fe32/sluice/internal/directory/redisdir"
	"github.com/seed-7410fe32/sluice/internal/redistest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(d time.Duration) { time.Sleep(d) }

// Random schedules on servers whose clocks are their own.
func TestModel(t *testing.T) {
	t.Parallel()
	servers := map[string]func(t *testing.T) (redisdir.Config, []*redistest.Server){
		"single": func(t *testing.T) (redisdir.Config, []*redistest.Server) {
			s := redistest.Start(t)
			return redisdir.Config{URL: "redis://" + s.Addr}, []*redistest.Server{s}
		},
		"cluster": func(t *testing.T) (redisdir.Config, []*redistest.Server) {
			n := redistest.Cluster(t)
			return redisdir.Config{URL: "redis+cluster://" + n.Servers[0].Addr}, n.Servers
		},
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, all := start(t)
			s := store{cfg, func() {
				for _, s := range all {
					s.Do("flushall")
				}
			}}
			for seed := range uint64(suite.Of(t, 5, 12, "random schedules")) {
				t.Run("", func(t *testing.T) {
					directorytest.Model(t, seed, s, realClock{}, 300*time.Millisecond, 200)
				})
				if t.Failed() {
					return
				}
			}
		})
	}
}

// Calls that arrive in another order than they were made do not hide a member: its last Enter
// counts.
func TestLateCallsOfPresence(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	redisdir.LateCalls(t, connect(t, redisdir.Config{URL: "redis://" + s.Addr}))
}

// An index forgets old changes, and who does not know them reads all rows.
func TestIndexForgetsChanges(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	redisdir.Changes(t, connect(t, redisdir.Config{URL: "redis://" + s.Addr}))
}
