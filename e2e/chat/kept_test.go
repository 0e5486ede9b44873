package chat_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// person is a text client of the chat.
type person struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, addr string) *person {
	t.Helper()
	conn := proctest.Dial(t, addr)
	return &person{t, conn, bufio.NewReader(conn)}
}

func (p *person) say(lines ...string) {
	p.t.Helper()
	proctest.Say(p.t, p.conn, lines...)
}

// event is what these tests read of an event.
type event struct {
	Type, Text, UID, Token string
	Code                   any // a word, or the code of a close
	Away                   bool
	Seq                    int
	Messages               []event
	Users                  []string
}

// next returns the next event, or io.EOF at the end of the connection.
func (p *person) next() (e event, err error) {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.in.ReadBytes('\n')
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(line, &e); err != nil {
		p.t.Fatalf("%q: %v", line, err)
	}
	return e, nil
}

// gets returns the next event of the type and skips others.
func (p *person) gets(kind string) event {
	p.t.Helper()
	for {
		e, err := p.next()
		if err != nil {
			p.t.Fatalf("waiting for %q: %v", kind, err)
		}
		if e.Type == kind {
			return e
		}
	}
}

// logIn logs in as a program does, which can come back with the token of the welcome.
func (p *person) logIn(name, token string) event {
	p.t.Helper()
	p.say(fmt.Sprintf(`{"type":"login","name":%q,"token":%q}`, name, token))
	return p.gets("welcome")
}

// texts returns the texts of the newest messages of the lobby. The person must be in it.
func (p *person) texts() (all []string) {
	p.t.Helper()
	p.say(`{"type":"history","room":"lobby","limit":100}`)
	for _, m := range p.gets("history").Messages {
		all = append(all, m.Text)
	}
	return all
}

// gateway starts a gateway that keeps the chat's data in a directory, or in memory.
func gateway(t *testing.T, data string) *proctest.Process {
	t.Helper()
	args := []string{"gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0"}
	if data != "" {
		args = append(args, "--data", data)
	}
	return proctest.Start(t, nil, proctest.Build(t), args...)
}

func worker(t *testing.T, g *proctest.Process) *proctest.Process {
	t.Helper()
	bin := proctest.Build(t)
	return proctest.Start(t, nil, bin, "chat", "--worker", "--address-rate", "-1", "--gateway", g.Addrs["inner"])
}

// Two workers have one history, one set of names and one inbox for somebody who is away. One of
// them is killed and replaced, and nothing is missing. Without --data this is in the memory of the
// gateway.
func TestWorkersShareAndDie(t *testing.T) {
	t.Parallel()
	g := gateway(t, "")
	first := worker(t, g)
	worker(t, g)
	addr := g.Addrs["text"]
	// The gateway gives clients to the worker that has fewer: of four, each has two.
	people := make([]*person, 4)
	tokens := make([]string, len(people))
	var want []string
	for i := range people {
		people[i] = dial(t, addr)
		tokens[i] = people[i].logIn(fmt.Sprint("P", i), "").Token
		people[i].say("/join lobby")
		people[i].gets("users")
	}
	said := func(by int, text string) {
		t.Helper()
		people[by].say(text)
		for people[by].gets("message").Text != text {
		}
		want = append(want, text)
	}
	for i := range people {
		said(i, fmt.Sprint("said by ", i))
	}
	first.Kill()
	worker(t, g)
	for i := range people {
		said(i, fmt.Sprint("said afterwards by ", i))
		if got := people[i].texts(); !slices.Equal(got, want) {
			t.Errorf("P%d finds %q, want %q", i, got, want)
		}
	}
	for range 4 { // at both workers
		p := dial(t, addr)
		p.say("/login P1")
		if e := p.gets("error"); e.Code != "name_taken" {
			t.Errorf("another P1: %+v", e)
		}
	}
	_ = people[1].conn.Close()
	people[0].gets("left")
	people[0].say("/msg P1 are you there?")
	if e := people[0].gets("private"); !e.Away {
		t.Errorf("P1 is away: %+v", e)
	}
	back := dial(t, addr)
	back.logIn("P1", tokens[1])
	back.gets("users") // of the lobby
	back.say("/history @P0")
	if e := back.gets("history"); len(e.Messages) != 1 || e.Messages[0].Text != "are you there?" {
		t.Errorf("P1 finds %+v", e)
	}
}

// Workers are killed with SIGKILL, one after the other, while people write lines. Each line is in
// the history once, in the order of its author, and everybody has received it once.
func TestWorkersKilledWhilePeopleWrite(t *testing.T) {
	t.Parallel()
	g := gateway(t, filepath.Join(t.TempDir(), "data"))
	workers := []*proctest.Process{worker(t, g), worker(t, g)}
	const writers, lines, kills = 5, 18, 6
	listener := dial(t, g.Addrs["text"])
	listener.logIn("Listener", "")
	listener.say("/join lobby")
	listener.gets("users")
	for i := range writers {
		p := dial(t, g.Addrs["text"])
		p.logIn(fmt.Sprint("P", i), "")
		p.say("/join lobby")
		p.gets("users")
		go func() {
			for n := range lines {
				if _, err := fmt.Fprintf(p.conn, "%d %d\n", i, n); err != nil {
					return
				}
				time.Sleep(250 * time.Millisecond) // not faster than the chat allows
			}
		}()
	}
	received, next := 0, make([]int, writers)
	for received < writers*lines {
		e := listener.gets("message")
		var by, n int
		if _, err := fmt.Sscan(e.Text, &by, &n); err != nil || n != next[by] {
			t.Fatalf("%q, and %d lines of the author before: %v", e.Text, next[by], err)
		}
		next[by]++
		if received++; received%(writers*lines/kills) == 1 {
			workers[0].Kill()
			workers = append(workers[1:], worker(t, g))
		}
	}
	got := listener.texts()
	if len(got) != writers*lines {
		t.Errorf("%d lines are kept, not %d: %q", len(got), writers*lines, got)
	}
	next = make([]int, writers)
	for _, text := range got {
		var by, n int
		if _, err := fmt.Sscan(text, &by, &n); err != nil || n != next[by] {
			t.Fatalf("%q is kept, and %d lines of the author before: %v", text, next[by], err)
		}
		next[by]++
	}
}

// The gateway is killed with SIGKILL while somebody writes. All that was confirmed is in the data
// directory, and so are names, tokens and what was read.
func TestGatewayKilled(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "not", "there", "yet")
	g := gateway(t, data)
	w := worker(t, g)
	ada, bob := dial(t, g.Addrs["text"]), dial(t, g.Addrs["text"])
	token, other := ada.logIn("Ada", "").Token, bob.logIn("Bob", "").Token
	ada.say("/join lobby")
	ada.gets("users")
	const writers, kill = 5, 60 // messages that are confirmed before the gateway is killed
	for i := range writers {
		p := dial(t, g.Addrs["text"])
		p.logIn(fmt.Sprint("P", i), "")
		p.say("/join lobby")
		p.gets("users")
		go func() {
			for n := 1; ; n++ {
				if _, err := fmt.Fprintf(p.conn, `{"type":"say","room":"lobby","text":"%d of %d"}`+"\n", n, i); err != nil {
					return
				}
				time.Sleep(220 * time.Millisecond) // as fast as the chat allows
			}
		}()
	}
	confirmed := make(map[int]string) // by number: messages of several people arrive in any order
	for {
		e, err := ada.next()
		if err != nil {
			break
		}
		if e.Type == "message" {
			if confirmed[e.Seq] = e.Text; len(confirmed) == kill {
				bob.say(`{"type":"private","to":"Ada","text":"for later","ref":"r1"}`)
				bob.gets("private")
				g.Kill()
			}
		}
	}
	_ = w.Stop()
	if len(confirmed) < kill {
		t.Fatalf("only %d messages were confirmed", len(confirmed))
	}

	g = gateway(t, data)
	worker(t, g)
	ada = dial(t, g.Addrs["text"])
	mallory := dial(t, g.Addrs["text"])
	mallory.say("/login Ada")
	if e := mallory.gets("error"); e.Code != "name_taken" {
		t.Errorf("the name is not kept over a restart: %+v", e)
	}
	again := ada.logIn("Ada", token)
	if !strings.HasPrefix(token, again.UID+".") {
		t.Errorf("Ada is %s now, and had the token %s", again.UID, token)
	}
	ada.gets("users") // of the lobby, where she is still
	got := ada.texts()
	for seq, text := range confirmed {
		if seq > len(got) || got[seq-1] != text {
			t.Errorf("message %d, %q, was confirmed, and these are there: %q", seq, text, got)
		}
	}
	ada.say("/history @Bob")
	if e := ada.gets("history"); len(e.Messages) != 1 || e.Messages[0].Text != "for later" {
		t.Errorf("Ada finds %+v", e)
	}
	// A message that was confirmed is not accepted a second time.
	bob = dial(t, g.Addrs["text"])
	bob.logIn("Bob", other)
	bob.say(`{"type":"private","to":"Ada","text":"for later","ref":"r1","again":true}`)
	if e := bob.gets("sent"); e.Seq != 1 {
		t.Errorf("sent again: %+v", e)
	}

	// And over an ordinary restart.
	if code := g.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	g = gateway(t, data)
	worker(t, g)
	ada = dial(t, g.Addrs["text"])
	ada.logIn("Ada", token)
	ada.gets("users")
	if n := len(ada.texts()); n != len(got) {
		t.Errorf("%d messages after a restart, want %d", n, len(got))
	}
}

// People at two gateways have one history: that of the gateway which all workers name first. When
// it has gone, the others stay connected, and are told that what they say is not accepted.
func TestTwoGateways(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	first, second := gateway(t, filepath.Join(t.TempDir(), "data")), gateway(t, "")
	for range 2 {
		proctest.Start(t, nil, bin, "chat", "--worker", "--address-rate", "-1",
			"--gateway", first.Addrs["inner"]+","+second.Addrs["inner"])
	}
	var want []string
	people := []*person{dial(t, first.Addrs["text"]), dial(t, second.Addrs["text"]), dial(t, second.Addrs["text"])}
	for i, p := range people {
		p.logIn(fmt.Sprint("P", i), "")
		p.say("/join lobby")
		p.gets("users")
		text := fmt.Sprint("said by ", i)
		p.say(text)
		for p.gets("message").Text != text {
		}
		want = append(want, text)
	}
	for i, p := range people {
		if got := p.texts(); !slices.Equal(got, want) {
			t.Errorf("P%d finds %q, want %q", i, got, want)
		}
	}
	other := dial(t, second.Addrs["text"])
	other.say("/login P0")
	if e := other.gets("error"); e.Code != "name_taken" {
		t.Errorf("another P0: %+v", e)
	}
	if code := first.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	people[1].say("is anybody there?")
	if e := people[1].gets("error"); e.Code != "try_again" {
		t.Errorf("without the store: %+v", e)
	}
	people[1].say("/users lobby")
	people[1].gets("users")
}

// A data directory that another process uses, or that is damaged, is a clear error at the start.
func TestDataDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	bin, data := proctest.Build(t), t.TempDir()
	fails := func(what, dir, says string) {
		t.Helper()
		for _, command := range []string{"gateway", "chat"} {
			cmd := exec.Command(bin, command, "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0", "--data", dir)
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), says) {
				t.Errorf("%s, %s: exit code %d, or without %q: %s", what, command, cmd.ProcessState.ExitCode(), says, out)
			}
		}
	}
	g := gateway(t, data)
	fails("in use", data, "chat.db is in use by another process")
	if code := g.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	damaged := t.TempDir()
	junk := []byte(strings.Repeat("no database ", 2000))
	if err := os.WriteFile(filepath.Join(damaged, "chat.db"), junk, 0o600); err != nil {
		t.Fatal(err)
	}
	fails("damaged", damaged, "chat.db is damaged or is no file of this program")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fails("a file", file, "data directory")
}
