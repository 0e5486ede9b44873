package engine

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Functions posted by one goroutine run in its order, each of them once.
func TestPostKeepsOrder(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1, MaxMailbox: 1000})
	l := e.Loops()[0]
	const senders, posts = 4, 50_000
	var next [senders]int // owned by the loop
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for sent := 0; sent < posts; {
				i := sent
				err := l.Post(func() {
					if next[s] != i {
						t.Errorf("post %d of sender %d ran in place of %d", i, s, next[s])
					}
					next[s]++
				})
				if err == nil {
					sent++
				} else if !errors.Is(err, ErrMailboxFull) {
					t.Error(err)
					return
				} else {
					time.Sleep(50 * time.Microsecond) // the mailbox is full: let it run
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "all have run", func() (all bool) {
		on(t, l, func() { all = next == [senders]int{posts, posts, posts, posts} })
		return all
	})
}

func TestPostIsBounded(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1, MaxMailbox: 10})
	l := e.Loops()[0]
	started, release := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let() // also when the test fails
	if err := l.Post(func() { close(started); <-release }); err != nil {
		t.Fatal(err)
	}
	receive(t, started)
	ran := 0
	taken := 0
	for range 20 {
		if err := l.Post(func() { ran++ }); err == nil {
			taken++
		} else if !errors.Is(err, ErrMailboxFull) {
			t.Fatal(err)
		}
	}
	let()
	on(t, l, func() {
		if ran != taken || taken < 9 || taken > 10 {
			t.Errorf("%d ran of %d taken", ran, taken)
		}
	})
	if s := figures(e)[0]; s.MailboxRejects < 10 {
		t.Errorf("%d rejects were counted", s.MailboxRejects)
	}
}

// Continuous posts, from outside and from posted functions, do not starve the sockets of a loop.
func TestPostsDoNotStarveConnections(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	l := e.Loops()[0]
	nc := dial(t, serve(t, e, funcs{data: echo}, ListenOptions{}))
	var over atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !over.Load() {
				if errors.Is(l.Post(func() {}), ErrMailboxFull) {
					time.Sleep(100 * time.Microsecond)
				}
			}
		})
	}
	var forever func()
	forever = func() {
		if !over.Load() {
			_ = l.Post(forever)
		}
	}
	_ = l.Post(forever)
	for range 20 {
		if _, err := io.WriteString(nc, "ping"); err != nil {
			t.Fatal(err)
		}
		readN(t, nc, 4)
	}
	over.Store(true)
	wg.Wait()
}
