package gateway_test

import (
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
)

// A gateway without workers logs it, at its start and when the last worker goes: once, however many
// loops it has, with the number of waiting clients. It also logs when that is over.
func TestNoWorkerIsSaid(t *testing.T) {
	t.Parallel()
	const none, again = "no worker takes clients", "workers take clients again"
	for name, hadOne := range map[string]bool{"never had one": false, "lost it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logbook
			g, _ := start(t, gateway.Config{Loops: 2, Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
				Logger: log.logger()})
			says := func(what string) (lines []string) {
				for _, line := range log.lines() {
					if strings.Contains(line, what) {
						lines = append(lines, line)
					}
				}
				return lines
			}
			if hadOne {
				w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
				wait(t, "the worker", func() bool { return workerLinks(g) == 2 })
				w.die()
				wait(t, "its end", func() bool { return g.Stats().Workers == 0 })
			}
			for range 3 {
				dialClient(t, g.Addrs()[0])
			}
			wait(t, "that there is none", func() bool { return len(says(none)) > 0 })
			dialWorker(t, g.WorkerAddr(), nil, oneWorker)
			wait(t, "that it is over", func() bool { return len(says(again)) == 1 })
			lines := says(none)
			if len(lines) != 1 || !strings.Contains(lines[0], "clients-waiting=3") ||
				!strings.Contains(lines[0], "loops-without=2") || !strings.Contains(lines[0], g.WorkerAddr()) {
				t.Errorf("%q", lines)
			}
		})
	}
}

// A worker that comes in time is not logged.
func TestAWorkerInTimeIsNoNews(t *testing.T) {
	t.Parallel()
	var log logbook
	g, stop := start(t, gateway.Config{Loops: 2, Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		Logger: log.logger()})
	dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return workerLinks(g) == 2 })
	stop()
	if all := strings.Join(log.lines(), "\n"); strings.Contains(all, "take clients") ||
		strings.Contains(all, "takes clients") {
		t.Error(all)
	}
}
