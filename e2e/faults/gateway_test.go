package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// A gateway is killed with all its clients, and a new one starts at the same address. The
// workers reconnect by themselves, all clients are back at once, and no name is taken by a stale
// session.
func TestGatewayKilled(t *testing.T) {
	bin := proctest.Build(t)
	const n, backWithin = 200, 5 * time.Second
	gateway := func(text, inner string) *proctest.Process {
		return proctest.Start(t, nil, bin, "gateway", "--listen", "text://"+text, "--inner", inner)
	}
	first := gateway("127.0.0.1:0", "127.0.0.1:0")
	for range 2 {
		proctest.Start(t, nil, bin, "chat", "--worker", "--gateway", first.Addrs["inner"])
	}
	name := func(i int) string { return fmt.Sprintf("user%d", i) }
	var talkers []*talker
	for i := range n {
		talkers = append(talkers, newTalker(t, first.Addrs["text"], name(i)))
	}
	first.Kill()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		lost := 0
		for _, k := range talkers {
			if k.lost.Load() {
				lost++
			}
		}
		if lost == n {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d have noticed", lost, n)
		}
	}
	second := gateway(first.Addrs["text"], first.Addrs["inner"])
	began := time.Now()
	for i := range n {
		talkers[i] = newTalker(t, second.Addrs["text"], name(i)) // nobody has a token: a name that is taken would be refused
	}
	took := time.Since(began)
	talkers[0].say(t, `{"type":"say","room":"lobby","text":"all here?"}`)
	for _, k := range talkers {
		if !k.await([]string{"all here?"}, time.Now().Add(10*time.Second)) {
			t.Errorf("%s does not hear the others", k.name)
		}
	}
	t.Logf("%d clients were back %v after the gateway was", n, took.Round(time.Millisecond))
	if took > backWithin {
		t.Errorf("not within %v", backWithin)
	}
}
