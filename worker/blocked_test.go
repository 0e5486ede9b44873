package worker_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// When many handlers block, all other clients are answered, including those that send just after
// one has blocked. Stats shows how many block. All slow calls are counted, and the log shows a few
// of them.
func TestManyBlock(t *testing.T) {
	// Not parallel: it has so many goroutines that the race detector could not track those of two
	// such tests.
	const blockers, others, rounds = 4500, 20, 10
	var logs lockedBuffer
	never := make(chan struct{})
	let := sync.OnceFunc(func() { close(never) })
	g := workertest.NewWithConfig(t, onMessage(func(c worker.Call, m worker.Message) {
		if string(m.Data) == "block" {
			<-never
			return
		}
		c.Send(m)
	}), worker.Config{SlowHandlerThreshold: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	t.Cleanup(let) // the worker does not end before its handlers
	for range blockers {
		g.Dial(workertest.Request{}).Send("block")
	}
	var talkers []*workertest.Client
	for range others {
		talkers = append(talkers, g.Dial(workertest.Request{}))
	}
	for i := range rounds {
		g.Dial(workertest.Request{}).Send("block")
		for _, c := range talkers {
			c.Send(fmt.Sprint(i))
		}
		for _, c := range talkers {
			c.Expect(fmt.Sprint(i))
		}
	}
	const blocked = blockers + rounds
	deadline := time.Now().Add(20 * time.Second)
	for s := g.Worker().Stats(); s.Slow < blocked || s.Blocked != blocked; s = g.Worker().Stats() {
		if time.Now().After(deadline) {
			t.Fatalf("%d handlers block: %+v", blocked, s)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for !strings.Contains(logs.String(), "more handlers are slow") {
		if time.Now().After(deadline) {
			t.Fatal("the log does not say that there are more than it shows")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if n := strings.Count(logs.String(), "handler is slow"); n == 0 || n > blocked/10 {
		t.Errorf("%d stacks in the log for %d slow handlers", n, blocked)
	}
	let()
	for s := g.Worker().Stats(); s.Blocked > 0; s = g.Worker().Stats() {
		if time.Now().After(deadline) {
			t.Fatalf("all have returned: %+v", s)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// When MaxBlockedCalls handlers block, all further events wait until one returns. The gauge and the
// log say so.
func TestBlockedCallsAreBounded(t *testing.T) {
	t.Parallel()
	const most, clients = 10, 50
	var logs lockedBuffer
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	g := workertest.NewWithConfig(t, onMessage(func(c worker.Call, m worker.Message) {
		<-release
		c.Send(m)
	}), worker.Config{MaxBlockedCalls: most, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	t.Cleanup(let) // the worker does not end before its handlers
	var all []*workertest.Client
	for range clients {
		c := g.Dial(workertest.Request{})
		c.Send("1")
		c.Send("2")
		all = append(all, c)
	}
	waitFor(t, "all but some clients to wait", func() bool {
		s := g.Worker().Stats()
		return s.Blocked >= most && s.Blocked <= most+1 && s.Blocked+s.Waiting == clients
	})
	waitFor(t, "the log to say so", func() bool { return strings.Contains(logs.String(), "as many calls block as may") })
	let()
	for _, c := range all {
		c.Expect("1")
		c.Expect("2")
	}
	waitFor(t, "nothing to wait", func() bool { s := g.Worker().Stats(); return s.Blocked == 0 && s.Waiting == 0 })
}
