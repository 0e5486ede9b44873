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
	k.say(t, "/login "+name, "/join lobby")
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
		return proctest.Start(t, nil, bin, "chat", "--worker", "--address-rate", "-1", "--gateway", gateway.Addrs["inner"])
	}
	older, newer := worker(), worker()
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
	// all waits until each text has been received by its sender, and then until everybody has received
	// all. It returns how long the former took.
	all := func(texts []string, began time.Time) time.Duration {
		end := began.Add(time.Minute)
		for i, k := range talkers {
			if !k.await(texts[i:i+1], end) {
				t.Fatalf("%s was not received", k.name)
			}
		}
		took := time.Since(began)
		for _, k := range talkers {
			if !k.await(texts, end) {
				t.Fatalf("%s did not hear everybody", k.name)
			}
		}
		return took
	}
	// Other programs may use the machine at just the wrong time. So the best of some tries counts.
	const tries = 4
	for try := 1; ; try++ {
		began := time.Now()
		undisturbed := all(talk(fmt.Sprint("before ", try)), began)
		older.Kill()
		older, newer = newer, worker()
		began = time.Now()
		took := all(talk(fmt.Sprint("after ", try)), began)
		t.Logf("all %d were received after %v; after %v when nothing failed", n, took, undisturbed)
		if took <= undisturbed+talkAgain {
			break
		}
		if try == tries {
			t.Errorf("%d times not within %v more than when nothing failed", tries, talkAgain)
			break
		}
	}
	for _, k := range talkers {
		if k.lost.Load() {
			t.Errorf("%s was disconnected", k.name)
		}
	}
}
