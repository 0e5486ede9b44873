package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// fiddler changes its clients' uid and attributes at random, in every possible way. Each worker of
// the test is one.
type fiddler struct {
	mu   sync.Mutex
	kept []worker.ClientID // of calls that are over
}

func (f *fiddler) message(ctx context.Context, c worker.Call, m worker.Message) error {
	if string(m.Data) == "compare" {
		c.Send(worker.Text(difference(ctx, c)))
		return nil
	}
	f.mu.Lock()
	f.kept = append(f.kept, c.ID())
	if len(f.kept) > 8 {
		f.kept = f.kept[len(f.kept)-8:]
	}
	f.mu.Unlock()
	for range 1 + rand.IntN(4) {
		fiddle(ctx, c)
	}
	switch rand.IntN(6) {
	case 0:
		panic("on purpose")
	case 1:
		return errors.New("on purpose")
	}
	c.Send(worker.Text("done"))
	return nil
}

// fiddle makes a change, as part of the call or with the Worker.
func fiddle(ctx context.Context, c worker.Call) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	value := fmt.Sprint(rand.IntN(1000))
	switch rand.IntN(9) {
	case 0:
		c.Bind("u" + value)
	case 1:
		c.BindExclusive("only" + c.ID().String())
	case 2:
		c.Unbind()
	case 3:
		c.SetAttrs(map[string]string{"a": value})
	case 4:
		c.MergeAttrs(map[string]string{"b": value, "a": ""})
	case 5, 6: // as one does who reads, changes and writes
		for range 3 {
			attrs := maps.Collect(c.Attrs())
			attrs["c"] = value
			if c.Worker().CompareAndSet(ctx, c.ID(), c.Version(), attrs) == nil {
				break
			}
		}
	case 7:
		_ = c.Flush(ctx)
	case 8:
		meddle(ctx, c.Worker(), c.ID())
	}
}

// meddle changes a client from outside of its calls.
func meddle(ctx context.Context, w *worker.Worker, id worker.ClientID) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	value := fmt.Sprint(rand.IntN(1000))
	switch rand.IntN(6) {
	case 0:
		_ = w.Bind(ctx, id, "u"+value)
	case 1:
		_ = w.BindExclusive(ctx, id, "only"+id.String())
	case 2:
		_ = w.Unbind(ctx, id)
	case 3:
		_ = w.SetAttrs(ctx, id, map[string]string{"a": value})
	case 4:
		_ = w.MergeAttrs(ctx, id, map[string]string{"b": value, "a": ""})
	case 5:
		for info, err := range w.Select(ctx, worker.Client(id), worker.FieldAttrs) {
			if err == nil {
				info.Attrs["c"] = value
				_ = w.CompareAndSet(ctx, id, info.Version, info.Attrs)
			}
		}
	}
}

// difference returns how the worker's copy of a client differs from the gateway's state, or "".
func difference(ctx context.Context, c worker.Call) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for row, err := range c.Worker().Select(ctx, worker.Client(c.ID()), worker.FieldUID|worker.FieldAttrs) {
		if err != nil {
			return err.Error()
		}
		if mine := maps.Collect(c.Attrs()); row.UID != c.UID() || row.Version != c.Version() || !maps.Equal(row.Attrs, mine) {
			return fmt.Sprintf("the copy is %q, %d %v; the gateway has %q, %d %v",
				c.UID(), c.Version(), mine, row.UID, row.Version, row.Attrs)
		}
		return "equal"
	}
	return "gone"
}

// keptOne returns a client of an earlier call, if there is one.
func (f *fiddler) keptOne() (id worker.ClientID, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) == 0 {
		return id, false
	}
	return f.kept[rand.IntN(len(f.kept))], true
}

// breaker is the network of a worker. It can cut links.
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

// Several workers change the uids and attributes of clients, in calls and outside of them, in calls
// that fail, and with links that break. When all is quiet each worker's copy equals the gateway's
// state.
func TestCopiesEndEqual(t *testing.T) {
	t.Parallel()
	for range 3 {
		g := serve(t, gateway.Config{
			ID: 7, Loops: 2, MaxDeliveries: 255, Logger: slog.New(slog.DiscardHandler),
			Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		})
		var fiddlers [3]*fiddler
		var breakers [3]*breaker
		var workers [3]*worker.Worker
		for i := range workers {
			fiddlers[i], breakers[i] = &fiddler{}, &breaker{}
			workers[i] = run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Dial: breakers[i].dial},
				worker.Handler{Message: fiddlers[i].message})
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
				if id, ok := f.keptOne(); ok { // beside whatever call runs
					meddle(t.Context(), workers[i], id)
					meddle(t.Context(), workers[rand.IntN(len(workers))], id)
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
