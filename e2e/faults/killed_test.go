package faults_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// talker is one of many who chat over plain text.
type talker struct {
	name string
	conn net.Conn
	in   *bufio.Scanner
	lost atomic.Bool // the connection ended
	mu   sync.Mutex
	seen map[string]bool // guarded by mu: texts
	more *sync.Cond      // on mu
}

func newTalker(t *testing.T, addr, name string) *talker {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	k := &talker{name: name, conn: conn, in: bufio.NewScanner(conn), seen: make(map[string]bool)}
	k.more = sync.NewCond(&k.mu)
	t.Cleanup(func() { _ = conn.Close() })
	k.say(t, `{"type":"login","name":"`+name+`"}`, `{"type":"join","room":"lobby"}`)
	for k.in.Scan() {
		if strings.Contains(k.in.Text(), `"type":"users"`) {
			go k.listen()
			return k
		}
	}
	t.Fatalf("%s was not let in: %v", name, k.in.Err())
	return nil
}

func (k *talker) say(t *testing.T, lines ...string) {
	t.Helper()
	if _, err := k.conn.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
}

func (k *talker) listen() {
	for k.in.Scan() {
		if !bytes.Contains(k.in.Bytes(), []byte(`"type":"message"`)) {
			continue
		}
		var e struct{ Text string }
		if json.Unmarshal(k.in.Bytes(), &e) == nil {
			k.mu.Lock()
			k.seen[e.Text] = true
			k.mu.Unlock()
			k.more.Broadcast()
		}
	}
	k.lost.Store(true)
}

// await waits until the talker has seen all texts, and reports whether it did before the deadline.
func (k *talker) await(texts []string, deadline time.Time) bool {
	stop := time.AfterFunc(time.Until(deadline), k.more.Broadcast)
	defer stop.Stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, text := range texts {
		for !k.seen[text] {
			if !time.Now().Before(deadline) {
				return false
			}
			k.more.Wait()
		}
	}
	return true
}

// A gateway and two workers run as processes of their own, with 200 clients that chat. One
// worker is killed with SIGKILL and a new one is started. No client is disconnected, and all
// clients can talk to each other within a second of the new worker's start, plus the time that
// this takes on the same machine without a fault.
func TestWorkerKilled(t *testing.T) {
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0")
	worker := func() *proctest.Process {
		return proctest.Start(t, nil, bin, "chat", "--worker", "--gateway", gateway.Addrs["inner"])
	}
	first := worker()
	worker()
	const n, talkAgain = 200, time.Second
	talkers := make([]*talker, n)
	for i := range talkers {
		talkers[i] = newTalker(t, gateway.Addrs["text"], fmt.Sprintf("user%d", i))
	}
	talk := func(what string) []string {
		var texts []string
		for i, k := range talkers {
			text := fmt.Sprintf("%s from %d", what, i)
			texts = append(texts, text)
			k.say(t, fmt.Sprintf(`{"type":"say","room":"lobby","text":%q}`, text))
		}
		return texts
	}
	began := time.Now()
	before := talk("before")
	for i, k := range talkers {
		if !k.await(before[i:i+1], time.Now().Add(20*time.Second)) {
			t.Fatalf("%s was not received before the kill", k.name)
		}
	}
	undisturbed := time.Since(began)
	for _, k := range talkers {
		if !k.await(before, time.Now().Add(20*time.Second)) {
			t.Fatalf("%s did not hear everybody before the kill", k.name)
		}
	}

	first.Kill()
	worker()
	started := time.Now()
	after := talk("after")
	for i, k := range talkers {
		if !k.await(after[i:i+1], started.Add(undisturbed+talkAgain)) {
			t.Errorf("%s was not received within %v of the new worker's start, and %v when nothing failed",
				k.name, undisturbed+talkAgain, undisturbed)
		}
	}
	t.Logf("all %d were received after %v; after %v when nothing failed",
		n, time.Since(started).Round(time.Millisecond), undisturbed.Round(time.Millisecond))
	for _, k := range talkers { // 40,000 messages, on a machine that may be busy with other tests
		if !k.await(after, started.Add(20*time.Second)) {
			t.Errorf("%s did not hear everybody", k.name)
		}
	}
	t.Logf("all %d received all %d after %v", n, n, time.Since(started).Round(time.Millisecond))
	for _, k := range talkers {
		if k.lost.Load() {
			t.Errorf("%s was disconnected", k.name)
		}
	}
}
