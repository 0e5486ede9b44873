package workertest_test

import (
	"strings"
	"sync"
	"testing"

	"sluice/worker"
	"sluice/worker/workertest"
)

// listener is a test whose output is heard.
type listener struct {
	testing.TB
	mu    sync.Mutex
	heard []string // guarded by mu
}

func (l *listener) Log(args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range args {
		l.heard = append(l.heard, a.(string))
	}
}

func (l *listener) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.heard, "\n")
}

func stumble() { panic("no such door") }

// Whoever waits in vain for a message is told of the panic that kept it back, and where it was.
func TestAPanicIsInTheTestsOutput(t *testing.T) {
	t.Parallel()
	l := &listener{TB: t}
	g := workertest.New(l, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		if string(m.Data) == "stumble" {
			stumble()
		}
		_ = c.Send(m)
	}))
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
