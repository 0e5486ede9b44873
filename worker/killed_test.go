package worker_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// Workers are killed under load, again and again. What their handlers send reaches the clients of
// all gateways once and in order, and each message is answered once. SLUICE_KILLS=1000 sets the
// number of kills for each number of gateways.
func TestKilledWorkersLoseNothingElsewhere(t *testing.T) {
	kills := 15
	if n, err := strconv.Atoi(os.Getenv("SLUICE_KILLS")); err == nil {
		kills = n
	}
	bin := proctest.BuildTest(t, "testdata/crowd")
	for _, gateways := range []int{2, 3} {
		t.Run(fmt.Sprint(gateways, " gateways"), func(t *testing.T) {
			r := newRoom(t, gateways)
			workers := [2]*proctest.Process{}
			for i := range workers {
				workers[i] = proctest.Start(t, nil, bin, r.inner...)
			}
			r.enter(t)
			for range kills {
				r.progress(t)
				i := rand.IntN(len(workers))
				workers[i].Kill()
				workers[i] = proctest.Start(t, nil, bin, r.inner...)
			}
			r.end(t)
		})
	}
}

// Workers are killed while clients log in with the same names at two gateways. Of each name one
// client stays.
func TestKilledWorkersLeaveOneOfEachName(t *testing.T) {
	bin := proctest.BuildTest(t, "testdata/crowd")
	r := newRoom(t, 2)
	watcher := run(t, worker.Config{Gateways: r.inner}, onMessage(func(c worker.Call, m worker.Message) {
		if name, ok := strings.CutPrefix(string(m.Data), "only "); ok {
			c.BindExclusive(name)
			c.Send(worker.Text("in"))
		}
	}))
	<-watcher.Ready()
	for round := range 6 {
		name := fmt.Sprint("name", round)
		doomed := proctest.Start(t, nil, bin, r.inner...)
		var racers []*line
		for i := range 6 {
			racers = append(racers, dial(t, r.gateways[i%2]))
		}
		var said sync.WaitGroup
		for _, c := range racers {
			said.Go(func() { _, _ = fmt.Fprintf(c.conn, "only %s\n", name) })
		}
		said.Wait()
		doomed.Kill()
		for _, c := range racers {
			c.receives("in")
		}
		proctest.Await(t, "one has the name", func() bool {
			n, err := watcher.Count(t.Context(), worker.UID(name))
			return err == nil && n == 1
		})
		stay := 0
		if err := watcher.Publish(t.Context(), worker.UID(name), worker.Text("yours")); err != nil {
			t.Fatal(err)
		}
		for _, c := range racers {
			if text := c.next(); text == "yours" {
				stay++
			} else if text != `{"type":"sluice.closed","reason":"replaced"}` {
				t.Errorf("round %d: %q", round, text)
			}
			_ = c.conn.Close()
		}
		if stay != 1 {
			t.Errorf("round %d: %d stay", round, stay)
		}
	}
}

// room is a group of clients that all send and receive, a few at each gateway.
type room struct {
	gateways []*gateway.Gateway
	inner    []string
	people   []*talker
	said     atomic.Int64
	enough   atomic.Bool
	talking  sync.WaitGroup
}

// talker is a client of the room. It sends numbers, each when the last one has been answered.
type talker struct {
	*line
	name string
	said int
	last map[string]int // number received of each other
	err  error
}

const talkersEach = 4 // gateway

func newRoom(t *testing.T, gateways int) *room {
	t.Helper()
	r := &room{}
	for id := range gateways {
		g := serve(t, gateway.Config{
			ID: uint32(id + 1), Loops: 2, MaxDeliveries: 255, Logger: slog.New(slog.DiscardHandler),
			Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0", MaxOutput: 64 << 20}},
		})
		r.gateways, r.inner = append(r.gateways, g), append(r.inner, g.WorkerAddr())
	}
	return r
}

// enter lets all clients join and then send.
func (r *room) enter(t *testing.T) {
	t.Helper()
	for i, g := range r.gateways {
		for j := range talkersEach {
			p := &talker{line: dial(t, g), name: fmt.Sprintf("%d-%d", i, j), last: map[string]int{}}
			p.say("join " + p.name)
			p.receives("ok")
			r.people = append(r.people, p)
		}
	}
	for _, p := range r.people {
		r.talking.Go(func() { p.err = p.talk(r) })
	}
}

// talk ends when all clients have sent enough and p has received the "end" of each.
func (p *talker) talk(r *room) error {
	p.say("say 1")
	for ended := 0; ended < len(r.people); {
		word, rest, _ := strings.Cut(p.next(), " ")
		switch n, _ := strconv.Atoi(rest); {
		case rest == "end":
			ended++
		case word != "ok" && n != p.last[word]+1:
			return fmt.Errorf("%s received %q of %s behind %d", p.name, rest, word, p.last[word])
		case word != "ok":
			p.last[word] = n
		case n != p.said+1:
			return fmt.Errorf("%s was answered %q behind %d", p.name, rest, p.said)
		case r.enough.Load():
			p.said = n
			p.say("say end")
		default:
			p.said = n
			r.said.Add(1)
			p.say(fmt.Sprint("say ", n+1))
		}
	}
	return nil
}

// progress waits until the clients have sent more messages.
func (r *room) progress(t *testing.T) {
	t.Helper()
	goal := r.said.Load() + int64(rand.IntN(40*len(r.people)))
	proctest.Await(t, "talk goes on", func() bool { return r.said.Load() > goal })
}

// end stops all clients and compares what they have received with what was sent.
func (r *room) end(t *testing.T) {
	t.Helper()
	r.enough.Store(true)
	r.talking.Wait()
	total := 0
	for _, p := range r.people {
		if p.err != nil {
			t.Error(p.err)
			continue
		}
		total += p.said
		for _, o := range r.people {
			if o != p && p.last[o.name] != o.said {
				t.Errorf("%s received up to %d of %s, who said %d", p.name, p.last[o.name], o.name, o.said)
			}
		}
	}
	redelivered := uint64(0)
	for _, g := range r.gateways {
		s := g.Stats()
		redelivered += s.Redelivered
		if s.CommandsDropped+s.MessagesRejected+s.DeadLettered > 0 {
			t.Errorf("unreached %d, refused %d, poisoned %d", s.CommandsDropped, s.MessagesRejected, s.DeadLettered)
		}
	}
	t.Logf("%d said, %d redelivered", total, redelivered)
}
