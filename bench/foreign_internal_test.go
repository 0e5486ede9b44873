package bench

import (
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/procfs"
)

// TestForeign subtracts the CPU time of the run from that of the processors.
func TestForeign(t *testing.T) {
	t.Parallel()
	const s = time.Second
	cpus := map[int]bool{0: true, 1: true, 2: true, 3: true}
	pids := []PID{{"a", 1}, {"b", 2}}
	first := reading{
		at: 3 * s, mine: s, servers: []usage{{CPU: 5 * s}, {CPU: 0}}, machine: procfs.Spent{Busy: 100 * s, Steal: 7 * s},
	}
	last := reading{
		at: 5 * s, mine: 2 * s, servers: []usage{{CPU: 6 * s}, {CPU: 2 * s}},
		machine: procfs.Spent{Busy: 107 * s, Steal: 8 * s},
	}
	shorter := last
	shorter.at = first.at + foreignLeast - 1
	less := last
	less.machine.Busy = 103 * s // of which 4 are the run's own: ticks are coarse
	nobody := last
	nobody.servers = nil
	for name, c := range map[string]struct {
		run  run
		want *Foreign
	}{
		"all are known": {
			run{processors: cpus, opts: Options{PIDs: pids, Targets: []string{"127.0.0.1:1"}}, last: last},
			&Foreign{CPUs: 4, Cores: 1.5, Steal: 0.5},
		},
		"less than nothing": {run{processors: cpus, opts: Options{PIDs: pids}, last: less}, &Foreign{CPUs: 4, Steal: 0.5}},
		"too short":         {run{processors: cpus, opts: Options{PIDs: pids}, last: shorter}, nil},
		"not told":          {run{opts: Options{PIDs: pids}, last: last}, nil},
		"unknown and here": {
			run{processors: cpus, opts: Options{Targets: []string{"192.0.2.1:1", "127.0.0.1:1"}}, last: nobody},
			&Foreign{CPUs: 4, Cores: 3, Steal: 0.5, Servers: true},
		},
		"unknown and far away": {
			run{processors: cpus, opts: Options{Targets: []string{"192.0.2.1:1", "[2001:db8::1]:1"}}, last: nobody},
			&Foreign{CPUs: 4, Cores: 3, Steal: 0.5},
		},
	} {
		if got := c.run.foreign(first); (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestIsHere has addresses of this machine and of others, and bad addresses.
func TestIsHere(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]bool{
		"127.0.0.1:1": true, "127.8.8.8:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true, "0.0.0.0:1": true,
		"localhost:1": true, "nobody.invalid:1": true, "ws://x": true,
		"192.0.2.1:1": false, "wss://192.0.2.1/chat?a=b:c": false, "ws://127.0.0.1:1/": true, "[2001:db8::1]:1": false,
	} {
		if got := isHere(&Options{Targets: []string{target}, Codec: WebSocket}); got != want {
			t.Errorf("%s: %v", target, got)
		}
	}
}
