package worker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// logins is a handler that gives a name to one client at a time.
//
//	login NAME        becomes the client of the name; "in"
//	slowly NAME       the same, and the call takes a while longer
//	try NAME          the same, and the call fails
//	replace NAME      messages those that have the name, takes it, and messages those that have it then
var logins = onMessage(func(c worker.Call, m worker.Message) {
	verb, name, _ := strings.Cut(string(m.Data), " ")
	if verb == "replace" {
		c.Publish(worker.UID(name), worker.Text("you were replaced"))
	}
	c.BindExclusive(name)
	switch verb {
	case "slowly":
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // what others do meanwhile is what is tested
	case "try":
		panic("on purpose")
	}
	if verb != "replace" {
		c.Send(worker.Text("in"))
	} else {
		c.Publish(worker.UID(name), worker.Text("in"))
	}
})

// If several clients log in at the same time with one name, at any gateways, loops and workers,
// exactly one stays, and messages to the name reach it.
func TestExclusiveBindKeepsOneClient(t *testing.T) {
	t.Parallel()
	var gateways []*gateway.Gateway
	var inner []string
	for id := range uint32(3) {
		g, _ := realGateway(t, id+1, "127.0.0.1:0", nil)
		gateways, inner = append(gateways, g), append(inner, g.WorkerAddr())
	}
	var w *worker.Worker
	for range 2 {
		w = run(t, worker.Config{Gateways: inner}, logins)
		<-w.Ready()
	}
	for round := range 30 {
		name := fmt.Sprint("name", round)
		var racers []*line
		for i := range 2 + rand.IntN(4) {
			c := dial(t, gateways[(i+round)%len(gateways)])
			racers = append(racers, c)
		}
		for _, c := range racers {
			go func() { _, _ = fmt.Fprintf(c.conn, "%s %s\n", []string{"login", "slowly"}[rand.IntN(2)], name) }()
		}
		for _, c := range racers {
			c.receives("in")
		}
		proctest.Await(t, "one has the name", func() bool {
			n, err := w.Count(context.Background(), worker.UID(name))
			return err == nil && n == 1
		})
		if err := w.Publish(t.Context(), worker.UID(name), worker.Text("yours")); err != nil {
			t.Fatal(err)
		}
		stay := 0
		for _, c := range racers {
			switch text := c.next(); text {
			case "yours":
				stay++
			case `{"type":"sluice.closed","reason":"replaced"}`:
			default:
				t.Errorf("round %d: %q", round, text)
			}
			_ = c.conn.Close()
		}
		if stay != 1 {
			t.Errorf("round %d: of %d clients %d stay", round, len(racers), stay)
		}
	}
}

// A call that fails has closed no client, at any gateway.
func TestAFailedLoginEvictsNoClient(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	w := run(t, worker.Config{Gateways: []string{g1.WorkerAddr(), g2.WorkerAddr()}}, logins)
	<-w.Ready()
	ann, other := dial(t, g1), dial(t, g2)
	ann.say("login ann")
	ann.receives("in")
	other.say("try ann")
	other.say("login bob") // handled behind it
	other.receives("in")
	ann.say("login ann")
	ann.receives("in")
	other.say("replace ann")
	other.receives("in")
	ann.receives("you were replaced")
	ann.receives(`{"type":"sluice.closed","reason":"replaced"}`)
}

// Closing the other clients is one of the call's effects, in their order: a closed client has
// received what was sent to it before, at any gateway, and nothing that was sent later.
func TestAnEvictionKeepsItsPlace(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	w := run(t, worker.Config{Gateways: []string{g1.WorkerAddr(), g2.WorkerAddr()}}, logins)
	<-w.Ready()
	for range 20 {
		old, next := dial(t, g2), dial(t, g1)
		old.say("login ann")
		old.receives("in")
		next.say("replace ann")
		next.receives("in")
		old.receives("you were replaced")
		old.receives(`{"type":"sluice.closed","reason":"replaced"}`)
		_, _ = old.conn.Close(), next.conn.Close()
	}
}
