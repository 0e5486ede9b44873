package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

var errOnPurpose = errors.New("on purpose")

// stumbling is a handler that fails as its messages say. failed gets the errors that Error is
// called with.
func stumbling() (h worker.Handler, failed chan error) {
	failed = make(chan error, 99)
	h.Message = func(_ context.Context, c worker.Call, m worker.Message) error {
		text := string(m.Data)
		if text == "what" {
			v, _ := c.Attr("k")
			c.Send(worker.Text(c.UID() + "/" + v))
			return nil
		}
		if text == "set" {
			c.Bind("u")
			c.MergeAttrs(map[string]string{"k": "v"})
			c.Send(worker.Text("set"))
			return nil
		}
		c.Unbind()
		c.Bind("ghost")
		c.SetAttrs(map[string]string{"k": "ghost"})
		c.Join("ghosts")
		c.Send(worker.Text("must not be received"))
		c.Publish(worker.Everyone(), worker.Text("must not be received"))
		switch {
		case strings.HasPrefix(text, "panic"):
			panic("on purpose")
		case strings.HasPrefix(text, "impossible"):
			c.Leave("")
			return nil
		}
		return fmt.Errorf("%s: %w", text, errOnPurpose)
	}
	h.Error = func(_ context.Context, c worker.Call, err error) {
		failed <- err
		if c.UID() == "ghost" {
			c.Send(worker.Text("the uid is a ghost's"))
		}
		c.MergeAttrs(map[string]string{"failures": "some"})
		c.Send(worker.Text("failed"))
		if strings.Contains(err.Error(), "and again") {
			panic("in Error")
		}
		if strings.Contains(err.Error(), "and the end") {
			runtime.Goexit()
		}
		if strings.Contains(err.Error(), "and the impossible") {
			c.Bind("")
		}
	}
	return h, failed
}

// A call that fails, in any way, has no effect on the gateway, on other clients or on the worker's
// copy. The effects of Error are kept, and the next message is handled. The failure is counted and
// logged.
func TestAFailedCallHasNoEffect(t *testing.T) {
	t.Parallel()
	var logs lockedBuffer
	h, failed := stumbling()
	g := workertest.NewWithConfig(t, h, worker.Config{Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	c := g.Dial(workertest.Request{})
	c.Send("set")
	c.Expect("set")
	for _, test := range []struct {
		text string
		want error
		told bool // what Error does is kept
	}{
		{"error", errOnPurpose, true}, {"panic", worker.ErrPanic, true}, {"impossible", worker.ErrEmpty, true},
		{"error and again", errOnPurpose, false}, {"error and the impossible", errOnPurpose, false},
		{"error and the end", errOnPurpose, false},
	} {
		c.Send(test.text)
		if test.told {
			c.Expect("failed")
		}
		c.Send("what")
		c.Expect("u/v")
		if err := <-failed; !errors.Is(err, test.want) {
			t.Errorf("%s: Error is called with %v, not %v", test.text, err, test.want)
		}
	}
	row := one(t, g.Worker(), worker.Everyone(), worker.FieldUID|worker.FieldGroups|worker.FieldAttrs)
	if got := fmt.Sprint(row.UID, row.Groups, row.Attrs); got != "u[] map[failures:some k:v]" {
		t.Errorf("the gateway knows %s", got)
	}
	if s := g.Worker().Stats(); s.Errors != 6 || s.Panics != 3 || s.Handled != 7 {
		t.Errorf("%+v", s)
	}
	said := logs.String()
	if !strings.Contains(said, `msg="handler failed" event=message`) || !strings.Contains(said, "on purpose") ||
		strings.Count(said, "handler panicked") != 2 || !strings.Contains(said, "handler ended its goroutine") {
		t.Errorf("the log has:\n%s", said)
	}
}

// Errors are logged once a second at most, however many there are.
func TestErrorsDoNotFloodTheLog(t *testing.T) {
	t.Parallel()
	var logs lockedBuffer
	h, failed := stumbling()
	h.Error = nil
	g := workertest.NewWithConfig(t, h, worker.Config{Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	begun := time.Now()
	c := g.Dial(workertest.Request{})
	const errs = 500
	for range errs {
		c.Send("error")
	}
	c.Send("what")
	c.Expect("/")
	n, most := strings.Count(logs.String(), "handler failed"), 1+int(time.Since(begun)/time.Second)
	if n < 1 || n > most || len(failed) > 0 {
		t.Errorf("%d lines in the log for %d errors, at most %d are due", n, errs, most)
	}
	if s := g.Worker().Stats(); s.Errors != errs {
		t.Errorf("%+v", s)
	}
}

// A message for which the handler returns Retry is delivered again, marked as redelivered, until it
// is handled. Later messages of the client wait, those of other clients do not. Its effects occur
// once.
func TestRetry(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tries := map[string][]string{}
	g := workertest.New(t, worker.Handler{
		Connect: func(_ context.Context, c worker.Call) error {
			c.Join("room")
			mu.Lock()
			defer mu.Unlock()
			if tries["connect"] = append(tries["connect"], c.ID().String()); len(tries["connect"]) == 2 {
				return worker.Retry(errOnPurpose)
			}
			return nil
		},
		Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			mu.Lock()
			defer mu.Unlock()
			text := string(m.Data)
			tries[text] = append(tries[text], fmt.Sprintf("%s %d %v", m.Key(c), m.Number, m.Redelivered))
			c.MergeAttrs(map[string]string{"tries": fmt.Sprint(len(tries[text]))})
			c.Send(m)
			if n := len(tries[text]); strings.HasPrefix(text, "twice") && n < 3 {
				return fmt.Errorf("not yet: %w", worker.Retry(errOnPurpose))
			}
			return nil
		},
		Close: func(_ context.Context, c worker.Call, _ worker.Reason) error {
			mu.Lock()
			defer mu.Unlock()
			c.Publish(worker.Group("room"), worker.Text("gone"))
			if tries["close"] = append(tries["close"], ""); len(tries["close"]) == 1 {
				return worker.Retry(errOnPurpose)
			}
			return nil
		},
		Error: func(_ context.Context, _ worker.Call, err error) { t.Errorf("Error is called with %v", err) },
	})
	a, b := g.Dial(workertest.Request{}), g.Dial(workertest.Request{}) // b's Connect is called twice
	for _, text := range []string{"first", "twice", "second", "twice more", "third"} {
		a.Send(text)
	}
	b.Send("other")
	b.Expect("other")
	for _, text := range []string{"first", "twice", "second", "twice more", "third"} {
		a.Expect(text)
	}
	row := one(t, g.Worker(), worker.Client(a.ID()), worker.FieldAttrs)
	if row.Attrs["tries"] != "1" || row.Version != 5 {
		t.Errorf("attributes %v of version %d", row.Attrs, row.Version)
	}
	b.Drop()
	a.Expect("gone")
	a.Send("what follows")
	a.Expect("what follows")
	mu.Lock()
	defer mu.Unlock()
	if got := tries["twice"]; len(got) != 3 || !strings.HasSuffix(got[0], "-2 2 false") ||
		got[1] != strings.Replace(got[0], "false", "true", 1) || got[2] != got[1] {
		t.Errorf("the calls were of %q", got)
	}
	if len(tries["connect"]) != 3 || len(tries["close"]) != 2 {
		t.Errorf("%d calls of Connect for two clients, %d of Close", len(tries["connect"]), len(tries["close"]))
	}
	if s := g.Worker().Stats(); s.Retries != 6 || s.DeadLettered != 0 || s.Errors != 0 || s.Clients != 1 {
		t.Errorf("%+v", s)
	}
}

// A message whose deliveries all return Retry is given up: its client is told, Error is called, and
// the next message is handled. A client whose Connect is given up is closed.
func TestADeadLetter(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	failed := make(chan error, 9)
	g := workertest.NewWithConfig(t, worker.Handler{
		Connect: func(_ context.Context, c worker.Call) error {
			if c.Request().Path() == "/never" {
				return worker.Retry(errOnPurpose)
			}
			return worker.Retry(nil)
		},
		Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			c.Send(m)
			if string(m.Data) == "poison" {
				calls.Add(1)
				return worker.Retry(errOnPurpose)
			}
			return nil
		},
		Error: func(_ context.Context, c worker.Call, err error) {
			failed <- err
			c.Send(worker.Text("sorry"))
		},
	}, worker.Config{MaxDeliveries: 3, Logger: slog.New(slog.DiscardHandler)})
	c := g.Dial(workertest.Request{})
	c.Send("poison")
	c.Send("after it")
	c.Expect(`{"type":"sluice.refused","code":"poison","count":1}`)
	c.Expect("sorry")
	c.Expect("after it")
	if err := <-failed; !errors.Is(err, errOnPurpose) || calls.Load() != 3 {
		t.Errorf("%d calls, and then %v", calls.Load(), err)
	}
	never := g.Dial(workertest.Request{Target: "/never"})
	never.Expect("sorry")
	never.ExpectClosed(worker.ReasonInternal)
	if s := g.Worker().Stats(); s.Retries != 4 || s.DeadLettered != 2 || s.Errors != 0 {
		t.Errorf("%+v", s)
	}
}

// A message that waits for another delivery when its worker drains is delivered until it is
// handled, or goes to the next worker with all later messages.
func TestRetryAcrossWorkers(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	var k cutter
	var broken atomic.Bool
	broken.Store(true)
	tried := make(chan struct{}, 99)
	h := worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		c.Send(m)
		if broken.Load() {
			tried <- struct{}{}
			return worker.Retry(errOnPurpose)
		}
		return nil
	}}
	run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Dial: k.dial, MaxDeliveries: 255}, h)
	c := dial(t, g)
	c.say("one")
	c.say("two")
	<-tried
	k.cut()
	<-tried
	<-tried
	broken.Store(false)
	c.receives("one")
	c.receives("two")
}

// A worker without clients has no use for functions about clients.
func TestNoClients(t *testing.T) {
	t.Parallel()
	cfg := worker.Config{Gateways: []string{"127.0.0.1:1"}, NoClients: true}
	start := worker.Handler{Start: func(context.Context, *worker.Worker) error { return nil }}
	if _, err := worker.New(cfg, start); err != nil {
		t.Error(err)
	}
	_, err := worker.New(cfg, onMessage(func(worker.Call, worker.Message) {}))
	if e, ok := errors.AsType[*worker.ConfigError](err); !ok || e.Field != "NoClients" {
		t.Errorf("%v", err)
	}
}
