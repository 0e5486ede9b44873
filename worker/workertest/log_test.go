package workertest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// listener is a test whose output is recorded.
type listener struct {
	testing.TB
	mu       sync.Mutex
	received []string // guarded by mu
	wrong    []string // guarded by mu
}

func (l *listener) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func (l *listener) Log(args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range args {
		l.received = append(l.received, a.(string))
	}
}

func (l *listener) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.received, "\n")
}

func stumble() { panic("no such door") }

// When a panic has prevented an expected message, the output of the test shows the panic and its
// stack.
func TestAPanicIsInTheTestsOutput(t *testing.T) {
	t.Parallel()
	l := &listener{TB: t}
	g := workertest.New(l, worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		if string(m.Data) == "stumble" {
			stumble()
		}
		c.Send(m)
		return nil
	}})
	c := g.Dial(workertest.Request{})
	c.Send("go on")
	c.Expect("go on")
	if said := l.all(); said != "" {
		t.Errorf("of what goes well there is in the output: %s", said)
	}
	c.Send("stumble")
	c.Send("after it") // one client's messages are handled in order: the panic is over when this one is
	c.Expect("after it")
	said := l.all()
	for _, part := range []string{"handler panicked", "no such door", "\nstack:\n", ".stumble("} {
		if !strings.Contains(said, part) {
			t.Errorf("the output does not have %q:\n%s", part, said)
		}
	}
}

// The output of the test has each error of a handler, also when several come in one second.
func TestAllErrorsAreInTheTestsOutput(t *testing.T) {
	t.Parallel()
	l := &listener{TB: t}
	g := workertest.New(l, worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		if string(m.Data) == "last" {
			c.Send(m)
			return nil
		}
		return fmt.Errorf("no %s", m.Data)
	}})
	c := g.Dial(workertest.Request{})
	for _, text := range []string{"bread", "milk", "last"} {
		c.Send(text)
	}
	c.Expect("last")
	if said := l.all(); !strings.Contains(said, "err=no bread") || !strings.Contains(said, "err=no milk") {
		t.Errorf("the output is:\n%s", said)
	}
}

// A goroutine of a handler uses the Call after the handler has returned: the test fails, and its
// output shows where.
func TestALateEffectFailsTheTest(t *testing.T) {
	t.Parallel()
	l := &listener{TB: t}
	returned, used := make(chan struct{}), make(chan struct{})
	h := worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		if string(m.Data) == "and now?" {
			close(returned)
			<-used
		} else {
			go func() {
				<-returned
				straggle(c)
				close(used)
			}()
		}
		c.Send(m)
		return nil
	}}
	g := workertest.New(l, h)
	c := g.Dial(workertest.Request{})
	for _, text := range []string{"start", "and now?"} {
		c.Send(text)
		c.Expect(text)
	}
	g.RestartWorker(func() worker.Handler { return h })
	l.mu.Lock()
	wrong := fmt.Sprint(l.wrong)
	l.mu.Unlock()
	said := l.all()
	if !strings.Contains(wrong, "1 effects came after the end of their call") || !strings.Contains(said, ".straggle(") {
		t.Errorf("the test has failed with %s, and its output is:\n%s", wrong, said)
	}
}

func straggle(c worker.Call) { c.Send(worker.Text("too late")) }
