package worker

import (
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/link"
)

// boxed is an outbox, and links to it that nobody reads: what was written to one is in its out.
type boxed struct {
	*outbox
	w *Worker
}

func newBoxed(t *testing.T) boxed {
	t.Helper()
	w, err := New(Config{Gateways: []string{"127.0.0.1:1"}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}, HandlerFunc(func(*Client, Message) {}))
	if err != nil {
		t.Fatal(err)
	}
	return boxed{newOutbox(&w.stats), w}
}

func (b boxed) connect(epoch uint64) *gwLink {
	near, _ := net.Pipe()
	l := newLink(b.w, near, link.GatewayHello{ID: 2, Epoch: epoch, Loops: 1, MaxFrame: link.MaxFrame})
	b.adopt(l)
	return l
}

// do sends frames with the numbers from first to last.
func (b boxed) do(t *testing.T, first, last uint32) {
	t.Helper()
	for i := first; i <= last; i++ {
		if _, err := b.send(&link.Frame{Type: link.Once, ID: i}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// numbers are those of the ONCE frames that were written to a link, and how many PINGs.
func numbers(l *gwLink) (once []uint32, pings int) {
	for b := l.out; len(b) > 0; {
		var f link.Frame
		n, _ := link.Next(b, link.MaxFrame, &f)
		b = b[n:]
		if f.Type == link.Ping {
			pings++
		} else {
			once = append(once, f.ID)
		}
	}
	return once, pings
}

func expectNumbers(t *testing.T, l *gwLink, want ...uint32) {
	t.Helper()
	if got, _ := numbers(l); !slices.Equal(got, want) {
		t.Errorf("%v went down the link, not %v", got, want)
	}
}

// A PING stands behind the first frame; what it confirms is forgotten, what came behind it is asked for next.
func TestOutboxConfirms(t *testing.T) {
	b := newBoxed(t)
	l := b.connect(1)
	b.do(t, 1, 3)
	if _, pings := numbers(l); pings != 1 {
		t.Errorf("%d pings", pings)
	}
	b.confirm(l)
	if n := countFrames(b.kept); n != 2 {
		t.Errorf("%d frames are kept, not the two behind the ping", n)
	}
	b.confirm(l)
	if _, pings := numbers(l); pings != 2 || len(b.kept) != 0 {
		t.Errorf("%d pings, %d bytes are kept", pings, len(b.kept))
	}
}

// The next link begins with what was not confirmed; an answer to the last link's ping means nothing on it.
func TestOutboxGoesOnWithTheNextLink(t *testing.T) {
	b := newBoxed(t)
	old := b.connect(1)
	b.do(t, 1, 2)
	b.confirm(old) // 1
	b.lose(old)
	b.do(t, 3, 3)
	l := b.connect(1)
	b.lose(old) // again, and late
	b.do(t, 4, 4)
	b.confirm(old)
	expectNumbers(t, l, 2, 3, 4)
	if n := b.w.stats.resent.Load(); n != 2 {
		t.Errorf("%d were sent again", n)
	}
	b.confirm(l)
	b.confirm(l)
	if len(b.kept) != 0 {
		t.Errorf("%d bytes are kept", len(b.kept))
	}
}

// A gateway that was started again has none of the clients that it was for.
func TestOutboxIsForOneLifeOfTheGateway(t *testing.T) {
	b := newBoxed(t)
	b.lose(b.connect(1))
	b.do(t, 1, 5)
	expectNumbers(t, b.connect(2))
	if n := b.w.stats.unreached.Load(); n != 5 {
		t.Errorf("%d counted as unreached", n)
	}
}

// A gateway that stays away is given up after a time, and before that when too much waits for it; then everything for it is refused at once.
func TestOutboxGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoxed(t)
		b.lose(b.connect(1))
		big := make([]byte, maxKept)
		if _, err := b.send(&link.Frame{Type: link.Once}, nil, big); err != nil {
			t.Error(err)
		}
		if _, err := b.send(&link.Frame{Type: link.Once}, nil, big); err != ErrLinkDown {
			t.Errorf("over the bound: %v", err)
		}
		time.Sleep(keepFor + 1)
		if _, err := b.send(&link.Frame{Type: link.Once}, nil, nil); err != ErrLinkDown || len(b.kept) != 0 {
			t.Errorf("after %v: %v, %d bytes are kept", keepFor, err, len(b.kept))
		}
		expectNumbers(t, b.connect(1))
		if n := b.w.stats.unreached.Load(); n != 1 {
			t.Errorf("%d counted as unreached", n)
		}
	})
}

// Whoever sends too much waits for the gateway to confirm, or for the link to end.
func TestOutboxWaits(t *testing.T) {
	for name, next := range map[string]func(boxed, *gwLink){
		"confirmed": func(b boxed, l *gwLink) { b.confirm(l) },
		"lost":      func(b boxed, l *gwLink) { b.lose(l) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoxed(t)
				l := b.connect(1)
				big := make([]byte, maxKept)
				if _, err := b.send(&link.Frame{Type: link.Once}, nil, big); err != nil {
					t.Error(err)
				}
				sent := make(chan error, 1)
				go func() {
					_, err := b.send(&link.Frame{Type: link.Once}, nil, nil)
					sent <- err
				}()
				synctest.Wait()
				select {
				case <-sent:
					t.Error("it did not wait")
				default:
				}
				next(b, l)
				want := map[string]error{"lost": ErrLinkDown}[name] // too much is kept still
				if err := <-sent; err != want {
					t.Errorf("%v, not %v", err, want)
				}
			})
		})
	}
}

// A gateway that came back under another id is not known any more, also when the last link to the old one ends later: nobody waits for it, and no answer is partial without it.
func TestAForgottenGatewayStaysForgotten(t *testing.T) {
	b := newBoxed(t)
	near, _ := net.Pipe()
	l := newLink(b.w, near, link.GatewayHello{ID: 2, Loops: 2, Loop: 1, MaxFrame: link.MaxFrame})
	r := &b.w.routes
	r.set(l)
	r.forget(2)
	r.remove(l)
	if up, down := r.gateways(); len(up)+down > 0 || r.home(2, 7) != nil {
		t.Errorf("%v are up, %d down", up, down)
	}
}

// What is under way can be waited for, but not longer than it may take.
func TestOutboxAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoxed(t)
		l := b.connect(1)
		b.do(t, 1, 1)
		go func() {
			time.Sleep(time.Second)
			b.confirm(l)
		}()
		begun := time.Now()
		if b.await(begun.Add(time.Minute)); time.Since(begun) != time.Second {
			t.Errorf("awaited for %v", time.Since(begun))
		}
		b.do(t, 2, 2)
		begun = time.Now()
		if b.await(begun.Add(time.Minute)); time.Since(begun) != time.Minute {
			t.Errorf("awaited for %v", time.Since(begun))
		}
		if b.abandon() == 0 || b.abandon() != 0 {
			t.Error("what was kept is not given up")
		}
	})
}

// A gateway that reads nothing does not hold up who writes to it on the way to another one.
func TestFlushSomeDoesNotWait(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	b := newBoxed(t)
	l := newLink(b.w, near, link.GatewayHello{ID: 2, Loops: 1, MaxFrame: link.MaxFrame})
	full := make([]byte, 1<<20)
	for taken := 1; taken > 0; taken = len(full) - len(l.out) { // nobody accepts, let alone reads
		l.out = append(l.out[:0], full...)
		l.flushSome()
	}
}
