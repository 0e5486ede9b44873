package worker_test

import (
	"context"
	"fmt"
	"log"
	"testing"

	"sluice/worker"
	"sluice/worker/workertest"
)

// A worker of one function: whatever a client says goes to everybody.
func Example() {
	w, err := worker.New(worker.Config{Gateways: []string{"127.0.0.1:2300"}},
		worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
			if err := c.Broadcast(m); err != nil {
				log.Print(err)
			}
		}))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop() // or when a signal comes
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
}

// Room is a chat room with names.
type Room struct{}

func (Room) OnConnect(c *worker.Client) {
	_ = c.MergeAttrs(map[string]string{"name": c.Request().Query("name")})
	_ = c.Join("lobby")
}

func (Room) OnMessage(c *worker.Client, m worker.Message) {
	name, _ := c.Attr("name")
	_ = c.Publish("lobby", worker.Text(fmt.Sprintf("%s: %s", name, m.Data)))
}

// A whole worker: a chat room with names, as README.md shows it.
func ExampleHandler() {
	ctx, stop := context.WithCancel(context.Background())
	stop() // or when a signal comes
	w, err := worker.New(worker.Config{Gateways: []string{"127.0.0.1:2300"}}, Room{})
	if err == nil {
		err = w.Run(ctx)
	}
	fmt.Println(err)
	// Output: <nil>
}

// Business code is tested against a gateway in memory.
func TestRoom(t *testing.T) {
	g := workertest.New(t, Room{})
	ada := g.Dial(workertest.Request{Target: "/?name=Ada"})
	bob := g.Dial(workertest.Request{Target: "/?name=Bob"})
	ada.Send("good evening")
	bob.Expect("Ada: good evening")
}
