package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/gateway"
	"sluice/internal/proctest"
	"sluice/worker"
)

// fiddler changes its clients' uid and attributes in every way there is, as chance has it. Each worker of the test is one.
type fiddler struct {
	mu   sync.Mutex
	kept []*worker.Client // from calls that are over, some of links that are down
}

func (f *fiddler) OnMessage(c *worker.Client, m worker.Message) {
	if string(m.Data) == "compare" {
		_ = c.Send(worker.Text(difference(c)))
		return
	}
	f.mu.Lock()
	f.kept = append(f.kept, c)
	if len(f.kept) > 8 {
		f.kept = f.kept[len(f.kept)-8:]
	}
	f.mu.Unlock()
	for range 1 + rand.IntN(4) {
		fiddle(c)
	}
	if rand.IntN(6) == 0 {
		panic("on purpose")
	}
	_ = c.Send(worker.Text("done"))
}

// fiddle changes something.
func fiddle(c *worker.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	value := fmt.Sprint(rand.IntN(1000))
	switch rand.IntN(8) {
	case 0:
		_ = c.Bind("u" + value)
	case 1:
		_ = c.BindOnly("only" + c.ID().String())
	case 2:
		_ = c.Unbind()
	case 3:
		_ = c.SetAttrs(map[string]string{"a": value})
	case 4:
		_ = c.MergeAttrs(map[string]string{"b": value, "a": ""})
	case 5, 6: // as one does who reads, changes and writes
		for range 3 {
			attrs := c.Attrs()
			if attrs == nil {
				attrs = map[string]string{}
			}
			attrs["c"] = value
			if c.CompareAndSet(ctx, c.Version(), attrs) == nil {
				break
			}
		}
	case 7:
		_ = c.Flush()
	}
}

// difference is what the worker's copy of a client says that the gateway does not; empty: nothing.
func difference(c *worker.Client) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for row, err := range c.Select(ctx, worker.Query{Clients: []worker.ClientID{c.ID()}, Fields: worker.FieldUID | worker.FieldAttrs}) {
		if err != nil {
			return err.Error()
		}
		if row.UID != c.UID() || row.Version != c.Version() || !maps.Equal(row.Attrs, c.Attrs()) {
			return fmt.Sprintf("the copy is %q, %d %v; at the gateway stands %q, %d %v", c.UID(), c.Version(), c.Attrs(), row.UID, row.Version, row.Attrs)
		}
		return "equal"
	}
	return "gone"
}

// keptOne is a client of an earlier call, nil when there is none.
func (f *fiddler) keptOne() *worker.Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) == 0 {
		return nil
	}
	return f.kept[rand.IntN(len(f.kept))]
}

// breaker is the network of a worker, which breaks.
type breaker struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (b *breaker) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		b.mu.Lock()
		b.conns = append(b.conns, c)
		b.mu.Unlock()
	}
	return c, err
}

// cut breaks one of the newest links.
func (b *breaker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.conns[len(b.conns)-1-rand.IntN(min(2, len(b.conns)))].Close()
}

// Whoever changes a client's uid and attributes, from which worker, in a call, beside one or by a Client kept from another time, in calls that fail, and with links that break:
// when all is quiet each worker's copy is what stands at the gateway.
func TestCopiesEndEqual(t *testing.T) {
	t.Parallel()
	for range 3 {
		g := serve(t, gateway.Config{ID: 7, Loops: 2, MaxTries: 255, Logger: slog.New(slog.DiscardHandler), Listeners: []gateway.Listener{{URL: "text://127.0.0.1:0"}}})
		var fiddlers [3]*fiddler
		var breakers [3]*breaker
		var workers [3]*worker.Worker
		for i := range workers {
			fiddlers[i], breakers[i] = &fiddler{}, &breaker{}
			workers[i] = run(t, worker.Config{Gateways: []string{g.InnerAddr()}, Dial: breakers[i].dial}, fiddlers[i])
			<-workers[i].Ready()
		}
		var people [6]*line
		for i := range people {
			people[i] = dial(t, g)
		}
		for range 40 {
			for _, p := range people {
				if rand.IntN(2) == 0 {
					p.say("fiddle")
				}
			}
			for i, f := range fiddlers {
				if c := f.keptOne(); c != nil {
					fiddle(c) // beside whatever call runs
					fiddle(workers[rand.IntN(len(workers))].Client(c.ID()))
				}
				if rand.IntN(20) == 0 {
					breakers[i].cut()
				}
			}
		}
		for i, p := range people {
			proctest.Await(t, fmt.Sprintf("client %d: equal copies", i), func() bool {
				p.say("compare")
				text := p.next()
				for text == "done" {
					text = p.next()
				}
				if strings.HasPrefix(text, "the copy") {
					t.Log(text) // it may be on its way
				}
				return text == "equal"
			})
		}
	}
}
