package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// memory is a handler with state in memory: how it came to know each client.
type memory struct {
	mu    sync.Mutex
	known map[worker.ClientID]string // guarded by mu
}

// newMemory returns a handler with a memory of its own. Adopt does what the client's attribute
// "adopt" says.
func newMemory(t *testing.T) worker.Handler {
	m := &memory{known: make(map[worker.ClientID]string)}
	learn := func(c worker.Call, how string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if was, ok := m.known[c.ID()]; ok {
			t.Errorf("%s after %s", how, was)
		}
		m.known[c.ID()] = how
	}
	return worker.Handler{
		Connect: func(_ context.Context, c worker.Call) error {
			learn(c, "connected")
			return nil
		},
		Adopt: func(_ context.Context, c worker.Call, t worker.Takeover) error {
			do, _ := c.Attr("adopt")
			if do == "retry" {
				m.mu.Lock()
				defer m.mu.Unlock()
				if m.known[c.ID()] == "" {
					m.known[c.ID()] = "asked again"
					return worker.Retry(errOnPurpose)
				}
				m.known[c.ID()] = "adopted: " + t.Cause.String()
				return nil
			}
			learn(c, fmt.Sprintf("adopted: %v", t.Cause))
			c.Join("adopted")
			c.Send(worker.Text("welcome back"))
			switch do {
			case "fail":
				return errOnPurpose
			case "panic":
				panic("on purpose")
			case "exit":
				runtime.Goexit()
			case "refuse":
				return worker.Refuse(4409, "log in again")
			case "close":
				c.Close()
			}
			return nil
		},
		Message: func(_ context.Context, c worker.Call, msg worker.Message) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			if string(msg.Data) == "how?" {
				c.Send(worker.Text(m.known[c.ID()]))
			} else {
				c.MergeAttrs(map[string]string{"adopt": string(msg.Data)})
				c.Send(msg)
			}
			return nil
		},
		Close: func(_ context.Context, c worker.Call, why worker.Reason) error {
			if do, _ := c.Attr("adopt"); do == "refuse" {
				t.Errorf("Close of a refused client: %v", why)
			}
			return nil
		},
		Error: func(_ context.Context, c worker.Call, err error) { c.Send(worker.Text("sorry")) },
	}
}

// A worker adopts each client that it takes over, before anything else of the client. Adopt may do
// what Connect may do. If it fails its effects are discarded and the client stays, unless Adopt has
// refused it.
func TestAdopt(t *testing.T) {
	t.Parallel()
	fresh := func() worker.Handler { return newMemory(t) }
	g := workertest.NewWithConfig(t, fresh(), worker.Config{Logger: slog.New(slog.DiscardHandler)})
	clients := make(map[string]*workertest.Client)
	for _, do := range []string{"", "fail", "panic", "exit", "retry", "refuse", "close"} {
		c := g.Dial(workertest.Request{})
		c.Send("how?")
		c.Expect("connected")
		c.Send(do)
		c.Expect(do)
		clients[do] = c
	}
	g.RestartWorker(fresh)
	later := g.Dial(workertest.Request{})
	later.Send("how?")
	later.Expect("connected")
	for do, c := range clients {
		switch do {
		case "":
			c.Expect("welcome back")
		case "fail", "panic", "exit":
			c.Expect("sorry")
		case "refuse":
			c.Expect("sorry")
			c.ExpectRefused("log in again")
			continue
		case "close":
			c.Expect("welcome back")
			c.ExpectClosed(worker.ReasonKicked)
			continue
		}
		c.Send("how?")
		c.Expect("adopted: drained")
	}
	if n, err := g.Worker().Count(t.Context(), worker.Group("adopted")); n != 1 || err != nil {
		t.Errorf("%d clients are in the group, %v", n, err)
	}
	s := g.Worker().Stats()
	if s.Adopted != uint64(len(clients)) || s.Refused != 1 || s.Errors != 1 || s.Panics != 2 || s.Retries != 1 {
		t.Errorf("%+v", s)
	}
}

// A handler without Adopt takes clients over all the same.
func TestWithoutAdopt(t *testing.T) {
	t.Parallel()
	h := onMessage(func(c worker.Call, m worker.Message) { c.Send(m) })
	h.Connect = func(context.Context, worker.Call) error { return nil }
	g := workertest.New(t, h)
	c := g.Dial(workertest.Request{})
	h.Connect = func(context.Context, worker.Call) error { return errors.New("connected twice") }
	g.RestartWorker(func() worker.Handler { return h })
	c.Send("hi")
	c.Expect("hi")
	if n := g.Worker().Stats().Adopted; n != 1 {
		t.Errorf("%d clients adopted", n)
	}
}

// Adopt gets what the gateway says about the takeover. Later events of the client wait for it, and
// other clients do not. A client that no worker has admitted is connected, whatever the cause.
func TestAdoptGetsTheTakeover(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var calls []string
	note := func(c worker.Call, what string) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, c.Listener()+" "+what)
	}
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	conns, w := rawPeer(t, 0, worker.Handler{
		Connect: func(_ context.Context, c worker.Call) error { note(c, "connect"); return nil },
		Adopt: func(_ context.Context, c worker.Call, t worker.Takeover) error {
			if c.Listener() == "a" {
				<-release
			}
			note(c, fmt.Sprintf("%v %d", t.Cause, t.Redelivered))
			return nil
		},
		Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			note(c, fmt.Sprintf("message %v", m.Redelivered))
			return nil
		},
		Close: func(_ context.Context, c worker.Call, _ worker.Reason) error { note(c, "close"); return nil },
	})
	t.Cleanup(let)
	conn := <-conns
	<-w.Ready()
	var b []byte
	seq := uint32(0)
	add := func(slot uint32, f link.Frame) {
		seq++
		f.ID, f.Slot, f.Token = seq, slot, 7
		b = link.Append(b, &f)
	}
	attach := func(slot uint32, flags uint8, listener string, cause link.Cause, redelivered uint32) {
		add(slot, link.Frame{Type: link.Attach, Flags: flags, Payload: link.AppendAttachment(nil, &link.Attachment{
			Remote: "r", Listener: listener, Cause: cause, Redelivered: redelivered,
		})})
	}
	attach(1, 0, "a", link.CauseDied, 1)
	add(1, link.Frame{Type: link.Message, Flags: link.FlagRedelivered, Payload: []byte("x")})
	add(1, link.Frame{Type: link.Detach, Code: uint16(link.ReasonPeer)})
	attach(2, 0, "b", link.CauseMoved, 0)
	add(2, link.Frame{Type: link.Message, Payload: []byte("x")})
	attach(3, link.FlagNew, "c", link.CauseLinkLost, 0)
	attach(4, 0, "d", link.CauseLinkLost, 300)
	attach(5, 0, "e", link.CauseDrained, 0)
	var peer sync.WaitGroup
	defer peer.Wait()
	defer conn.Close()
	peer.Go(func() {
		_, _ = conn.Write(b)
		lastWord(t, conn)
	})
	of := func(listener string) (list []string) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range calls {
			if strings.HasPrefix(c, listener+" ") {
				list = append(list, c[2:])
			}
		}
		return list
	}
	want := map[string]string{
		"b": "[moved 0 message false]", "c": "[connect]", "d": "[link lost 300]", "e": "[drained 0]", "a": "[]",
	}
	check := func() {
		for listener, calls := range want {
			waitFor(t, "the calls of "+listener+" to be "+calls, func() bool { return fmt.Sprint(of(listener)) == calls })
		}
	}
	check() // the Adopt of a does not return
	let()
	want["a"] = "[died 1 message true close]"
	check()
	if n := w.Stats().Adopted; n != 4 {
		t.Errorf("%d clients adopted", n)
	}
}

// A client whose link is cut while a message is handled is adopted before the message is delivered
// again, at a real gateway too.
func TestAdoptAfterALinkWasCut(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	var k cutter
	begun := make(chan struct{}, 9)
	adopted := make(chan worker.Takeover, 9)
	h := worker.Handler{
		Adopt: func(_ context.Context, c worker.Call, t worker.Takeover) error {
			c.Send(worker.Text("adopted"))
			adopted <- t
			return nil
		},
		Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
			if string(m.Data) == "wait" && !m.Redelivered {
				begun <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
			c.Send(m)
			return nil
		},
	}
	w := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Dial: k.dial, Logger: slog.New(slog.DiscardHandler)}, h)
	<-w.Ready()
	c := dial(t, g)
	c.say("one")
	c.receives("one")
	c.say("wait")
	<-begun
	k.cut()
	c.receives("adopted")
	c.receives("wait")
	select {
	case to := <-adopted:
		if to.Cause < worker.CauseDied || to.Cause > worker.CauseLinkLost {
			t.Errorf("%+v", to)
		}
	case <-time.After(10 * time.Second):
		t.Error("not adopted")
	}
}
