package worker_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// door is a handler that admits clients by their target. Admitted clients receive the secret.
type door struct {
	opens  chan struct{}        // "/slow" waits for it
	ended  chan worker.ClientID // of Close
	failed chan error           // of Error
}

func (d door) connect(c worker.Call) error {
	switch c.Request().Path() {
	case "/panics":
		c.After(0, func(_ context.Context, c worker.Call) error {
			c.Publish(worker.Everyone(), worker.Text("by a timer of one who is not in"))
			return nil
		})
		c.Join("inside")
		panic("on purpose")
	case "/exits":
		c.Join("inside")
		runtime.Goexit()
	case "/panics/late":
		<-d.opens
		panic("on purpose")
	case "/slow":
		<-d.opens
	case "/herald":
		c.Publish(worker.Everyone(), worker.Text("a herald has come"))
		return nil
	case "/shy":
		c.Publish(worker.Everyone().Except(c.ID()), worker.Text("somebody has come"))
		return nil
	case "/fails":
		c.Join("inside")
		return errors.New("no such guest")
	case "/impossible":
		c.Join("")
	case "/refused":
		c.Send(worker.Text("must not be received"))
		return worker.Refuse(4401, "log in first")
	case "/misrefused":
		return worker.Refuse(99, "no such code")
	}
	c.Join("inside")
	c.Send(worker.Text("welcome"))
	return nil
}

func (d door) message(c worker.Call, m worker.Message) {
	c.Publish(worker.Everyone(), m)
	c.Send(worker.Text("secret"))
}

func newDoor(t *testing.T) (door, *workertest.Gateway) {
	d := door{make(chan struct{}), make(chan worker.ClientID, 99), make(chan error, 99)}
	h := onMessage(d.message)
	h.Connect = func(_ context.Context, c worker.Call) error { return d.connect(c) }
	h.Close = func(_ context.Context, c worker.Call, _ worker.Reason) error {
		d.ended <- c.ID()
		return nil
	}
	h.Error = func(_ context.Context, c worker.Call, err error) {
		d.failed <- err
		if c.Request().Query("told") != "" {
			c.Send(worker.Text("not today"))
		}
	}
	return d, workertest.NewWithConfig(t, h, worker.Config{Logger: slog.New(slog.DiscardHandler)})
}

// A client whose Connect fails, in any way, is closed. Error is called for it, and nothing else.
// Other clients are not affected.
func TestAFailedConnectIsClosed(t *testing.T) {
	t.Parallel()
	d, g := newDoor(t)
	guest := g.Dial(workertest.Request{Target: "/"})
	guest.Expect("welcome")
	for target, want := range map[string]error{
		"/panics":         worker.ErrPanic,
		"/exits":          worker.ErrPanic,
		"/panics/late":    worker.ErrPanic,
		"/fails":          nil,
		"/fails?told=1":   nil,
		"/impossible":     worker.ErrEmpty,
		"/misrefused":     worker.ErrInvalid,
		"/refused":        nil,
		"/refused?told=1": nil,
	} {
		c := g.Dial(workertest.Request{Target: target})
		if target == "/panics/late" {
			c.Send("let me receive the secret")
			c.Send("and again")
			waitFor(t, "its Connect to block", func() bool { return g.Worker().Stats().Blocked > 0 })
			close(d.opens)
		}
		if strings.Contains(target, "told") {
			c.Expect("not today") // what Error does is kept
		}
		if strings.HasPrefix(target, "/refused") {
			c.ExpectRefused("log in first")
		} else {
			c.ExpectClosed(worker.ReasonInternal)
		}
		select {
		case err := <-d.failed:
			if want != nil && !errors.Is(err, want) {
				t.Errorf("%s: Error is called with %v, not %v", target, err, want)
			}
		case <-time.After(workertest.Timeout):
			t.Fatalf("%s: Error is not called", target)
		}
	}
	guest.Send("who is here?")
	guest.Expect("who is here?")
	guest.Expect("secret")
	guest.Drop()
	if id := <-d.ended; id != guest.ID() {
		t.Errorf("Close is called for %v, who was not admitted", id)
	}
	waitFor(t, "all to be gone", func() bool { return g.Worker().Stats().Clients == 0 })
	if s := g.Worker().Stats(); s.Panics != 3 || s.Errors != 4 || s.Refused != 2 || len(d.ended)+len(d.failed) > 0 {
		t.Errorf("%+v", s)
	}
}

// While Connect runs, its client receives no message to Everyone except those that Connect itself
// sends. After it has returned the client receives all of them.
func TestPendingClientsReceiveNoBroadcasts(t *testing.T) {
	t.Parallel()
	d, g := newDoor(t)
	guest := g.Dial(workertest.Request{Target: "/"})
	guest.Expect("welcome")
	late := g.Dial(workertest.Request{Target: "/slow"})
	waitFor(t, "its Connect to block", func() bool { return g.Worker().Stats().Blocked > 0 })
	guest.Send("before")
	guest.Expect("before")
	guest.Expect("secret")
	close(d.opens)
	late.Expect("welcome")
	guest.Send("after")
	late.Expect("after")
	guest.Expect("after")
	guest.Expect("secret")
	for range 20 {
		herald := g.Dial(workertest.Request{Target: "/herald"})
		herald.Expect("a herald has come")
		guest.Expect("a herald has come")
		guest.Send("news")
		herald.Expect("news")
		guest.Expect("news")
		guest.Expect("secret")
		herald.Drop()
	}
	shy := g.Dial(workertest.Request{Target: "/shy"})
	guest.Expect("somebody has come")
	guest.Send("end")
	shy.Expect("end")
}

// The admission of a client is in an earlier UNIT than the later effects of the worker, because the
// gateway applies the acknowledgements of a UNIT last.
func TestAdmissionEndsAUnit(t *testing.T) {
	t.Parallel()
	attachment := link.AppendAttachment(nil, &link.Attachment{Cause: link.CauseDied, Remote: "r", Listener: "l"})
	echo := onMessage(func(c worker.Call, m worker.Message) { c.Publish(worker.Everyone(), m) })
	greeter := echo
	greeter.Connect = func(_ context.Context, c worker.Call) error {
		c.Send(worker.Text("welcome"))
		return nil
	}
	for name, h := range map[string]worker.Handler{"with Connect": greeter, "without": echo} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conns, w := rawPeer(t, 0, h)
			conn := <-conns
			defer func() { _ = conn.Close() }()
			<-w.Ready()
			var b []byte
			for i := range uint32(4) {
				b = link.Append(b,
					&link.Frame{Type: link.Attach, Flags: link.FlagNew, Slot: i, Token: 7, Payload: attachment})
				b = link.Append(b, &link.Frame{Type: link.Message, ID: i + 1, Slot: 0, Token: 7, Payload: []byte("x")})
			}
			go func() { _, _ = conn.Write(b) }()
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			r := bufio.NewReader(conn)
			came := map[uint32]bool{}
			for len(came) < 4 {
				f, err := readLink(r)
				if err != nil {
					t.Fatal(err)
				}
				if f.Type != link.Unit && (f.Type != link.Send || !f.Has(link.FlagHandled)) {
					continue
				}
				if !came[f.Slot] && f.ID != 0 {
					t.Errorf("the unit that admits client %d goes on to message %d", f.Slot, f.ID)
				}
				came[f.Slot] = true
			}
		})
	}
}

// waitFor waits until a condition is true.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(workertest.Timeout); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}
