package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/worker"
)

// wiretap has what a worker has sent to each of its gateways.
type wiretap struct {
	mu   sync.Mutex
	sent map[string][]byte // by address
}

// tapped is a connection of a worker.
type tapped struct {
	net.Conn
	tap  *wiretap
	addr string
}

func (c tapped) Write(b []byte) (int, error) {
	c.tap.mu.Lock()
	c.tap.sent[c.addr] = append(c.tap.sent[c.addr], b...)
	c.tap.mu.Unlock()
	return c.Conn.Write(b)
}

func (w *wiretap) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	return tapped{c, w, addr}, err
}

// during returns which of the gateways are sent something with a name in it while f runs.
func (w *wiretap) during(addrs []string, name string, f func()) (to []int) {
	w.mu.Lock()
	clear(w.sent)
	w.mu.Unlock()
	f()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, addr := range addrs {
		if bytes.Contains(w.sent[addr], []byte(name)) {
			to = append(to, i)
		}
	}
	return to
}

// A query about a group, a uid or clients asks only the gateways that hold them, and so does what
// is done to each client that it selects. While the directory is down it asks all.
func TestNarrowQueries(t *testing.T) {
	t.Parallel()
	d := newShaky(t)
	g := narrowGateways(t, slices.Repeat([]directory.Directory{d}, 4)...)
	tap := &wiretap{sent: make(map[string][]byte)}
	var addrs []string
	for _, g := range g {
		addrs = append(addrs, g.WorkerAddr())
	}
	w := run(t, worker.Config{Gateways: addrs, Dial: tap.dial}, rooms)
	<-w.Ready()
	member := dial(t, g[2])
	for _, words := range []string{"join the-room", "bind the-user"} {
		member.say(words)
		member.receives("ok")
	}
	ctx := t.Context()
	count := func(target worker.Target) (n int) {
		n, err := w.Count(ctx, target)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	var ids []worker.ClientID
	list := func(target worker.Target) int {
		ids = ids[:0]
		for info, err := range w.Select(ctx, target, 0) {
			if err != nil {
				t.Error(err)
			}
			ids = append(ids, info.ID)
		}
		return len(ids)
	}
	uids := func(target worker.Target) (n int) {
		for _, err := range w.UIDs(ctx, target) {
			if err != nil {
				t.Error(err)
			}
			n++
		}
		return n
	}
	for name, target := range map[string]worker.Target{
		"the-room": worker.Group("the-room"), "the-user": worker.UID("the-user"),
	} {
		for kind, query := range map[string]func(worker.Target) int{"Count": count, "Select": list, "UIDs": uids} {
			n := 0
			eventually(t, kind+" of "+name+" by one gateway", func() bool {
				return slices.Equal(tap.during(addrs, name, func() { n = query(target) }), []int{2})
			})
			if n != 1 {
				t.Errorf("%s of %s: %d", kind, name, n)
			}
		}
	}
	list(worker.Group("the-room"))
	one := ids[0]
	list(worker.Everyone())
	nobody := ids[0]
	copy(nobody[:], []byte{0, 0, 0, 9})
	two := worker.Clients(one, nobody)
	for kind, f := range map[string]func(){
		"Count":  func() { count(two) },
		"Select": func() { list(two) },
		"Publish": func() {
			if err := w.Publish(ctx, two, worker.Text("x")); err != nil {
				t.Error(err)
			}
			member.receives("x")
		},
	} {
		if to := tap.during(addrs, string(one[:]), f); !slices.Equal(to, []int{2}) {
			t.Errorf("%s of clients: sent to %d", kind, to)
		}
	}
	n, err := w.Counts(ctx, []worker.Target{
		two, worker.Group("the-room"), worker.UID("the-user"), worker.Groups("the-room", "b"), worker.Everyone(),
		worker.UIDs("nobody", "the-user"), worker.Group("empty"),
	})
	if err != nil || !slices.Equal(n, []int{1, 1, 1, 1, 1, 1, 0}) {
		t.Errorf("%d: %v", n, err)
	}
	d.down.Store(true)
	for _, g := range g {
		c := dial(t, g)
		c.say("join another-room") // the gateway notices that it cannot enter it
		c.receives("ok")
	}
	eventually(t, "all are asked", func() bool {
		n := 0
		to := tap.during(addrs, "the-room", func() { n = count(worker.Group("the-room")) })
		return n == 1 && len(to) == len(g)
	})
	if err := w.Close(ctx, worker.Group("the-room")); err != nil {
		t.Error(err)
	}
	member.ends()
}

// A query of a handler sees the effects of earlier calls of the same client, also while those wait
// for the directory, and if the worker knows that the gateway has no members of the group yet.
func TestAQueryFollowsTheEffectsOfItsClient(t *testing.T) {
	t.Parallel()
	d := newShaky(t)
	g := narrowGateways(t, d, d)
	w := run(t, worker.Config{Gateways: []string{g[0].WorkerAddr(), g[1].WorkerAddr()}}, worker.Handler{
		Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
			verb, room, _ := strings.Cut(string(m.Data), " ")
			if verb == "join" {
				c.Join(room)
				return nil
			}
			n, err := c.Worker().Count(ctx, worker.Group(room))
			listed := 0
			for _, missing := range c.Worker().Select(ctx, worker.Group(room), 0) {
				err = errors.Join(err, missing)
				listed++
			}
			c.Send(worker.Text(fmt.Sprint(n, " ", listed)))
			return err
		},
	})
	<-w.Ready()
	other, c := dial(t, g[1]), dial(t, g[0])
	other.say("join r")
	other.say("count r")
	other.receives("1 1")
	eventually(t, "no doubt", func() bool { return g[0].Stats().InDoubt+g[1].Stats().InDoubt == 0 })
	eventually(t, "a narrow query", func() bool {
		before := w.Stats().SendsNarrowed
		c.say("count r")
		c.receives("1 1")
		return w.Stats().SendsNarrowed > before
	})
	d.slow.Store(int64(300 * time.Millisecond))
	defer d.slow.Store(0)
	c.say("join r")
	c.say("count r")
	c.receives("2 2")
}
