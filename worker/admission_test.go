package worker_test

import (
	"bufio"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"sluice/internal/link"
	"sluice/worker"
	"sluice/worker/workertest"
)

// door is business that lets a client in by its target. Whoever is inside hears the secret.
type door struct {
	opens chan struct{}        // "/slow" waits for it
	ended chan worker.ClientID // of OnClose
}

func (d door) OnConnect(c *worker.Client) {
	switch c.Request().Path() {
	case "/panics":
		c.After(0, func(c *worker.Client) { _ = c.Broadcast(worker.Text("by a timer of one who is not in")) })
		_ = c.Join("inside")
		panic("on purpose")
	case "/exits":
		_ = c.Join("inside")
		runtime.Goexit()
	case "/panics/late":
		<-d.opens
		panic("on purpose")
	case "/slow":
		<-d.opens
	case "/herald":
		_ = c.Broadcast(worker.Text("a herald has come"))
		return
	case "/shy":
		_ = c.Broadcast(worker.Text("somebody has come"), c.ID())
		return
	}
	_ = c.Join("inside")
	_ = c.Send(worker.Text("welcome"))
}

func (d door) OnMessage(c *worker.Client, m worker.Message) {
	_ = c.Broadcast(m)
	_ = c.Send(worker.Text("secret"))
}

func (d door) OnClose(c *worker.Client, _ worker.Reason) { d.ended <- c.ID() }

func newDoor(t *testing.T) (door, *workertest.Gateway) {
	d := door{make(chan struct{}), make(chan worker.ClientID, 99)}
	return d, workertest.NewConfig(t, d, worker.Config{Logger: slog.New(slog.DiscardHandler)})
}

// A client whose OnConnect fails is closed, whatever it has sent is not handled, and OnClose is called for it. All others go on.
func TestAFailedConnectIsClosed(t *testing.T) {
	t.Parallel()
	d, g := newDoor(t)
	guest := g.Dial(workertest.Request{Target: "/"})
	guest.Expect("welcome")
	for _, target := range []string{"/panics", "/exits", "/panics/late"} {
		c := g.Dial(workertest.Request{Target: target})
		if target == "/panics/late" {
			c.Send("let me hear the secret")
			c.Send("and again")
			waitFor(t, "its OnConnect to block", func() bool { return g.Worker().Stats().Blocked > 0 })
			close(d.opens)
		}
		c.ExpectClosed(worker.ReasonInternal)
		select {
		case id := <-d.ended:
			if id != c.ID() {
				t.Errorf("%s: OnClose of %v, not %v", target, id, c.ID())
			}
		case <-time.After(workertest.Patience):
			t.Fatalf("%s: OnClose is not called", target)
		}
	}
	guest.Send("who is here?")
	guest.Expect("who is here?")
	guest.Expect("secret")
	if s := g.Worker().Stats(); s.Panics != 3 || s.Clients != 1 {
		t.Errorf("%+v", s)
	}
}

// While OnConnect runs its client hears nothing that is for all, but what OnConnect itself sends; and from its return on everything.
func TestWhoIsNotInHearsNoBroadcasts(t *testing.T) {
	t.Parallel()
	d, g := newDoor(t)
	guest := g.Dial(workertest.Request{Target: "/"})
	guest.Expect("welcome")
	late := g.Dial(workertest.Request{Target: "/slow"})
	waitFor(t, "its OnConnect to block", func() bool { return g.Worker().Stats().Blocked > 0 })
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

// What a worker does once it has let a client in is in another UNIT than its letting in: the gateway takes acknowledgements last.
func TestLettingInEndsAUnit(t *testing.T) {
	t.Parallel()
	attachment := link.AppendAttachment(nil, &link.Attachment{Remote: "r", Listener: "l"})
	echo := worker.HandlerFunc(func(c *worker.Client, m worker.Message) { _ = c.Broadcast(m) })
	for name, h := range map[string]worker.Handler{"with OnConnect": &greeter{echo}, "without": echo} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conns, w := rawPeer(t, 0, h)
			conn := <-conns
			defer func() { _ = conn.Close() }()
			<-w.Ready()
			var b []byte
			for i := range uint32(4) {
				b = link.Append(b, &link.Frame{Type: link.Attach, Flags: link.FlagNew, ID: 2*i + 1, Slot: i, Token: 7, Payload: attachment})
				b = link.Append(b, &link.Frame{Type: link.Message, ID: 2*i + 2, Slot: 0, Token: 7, Payload: []byte("x")})
			}
			go func() { _, _ = conn.Write(b) }()
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			r := bufio.NewReader(conn)
			for acked := 0; acked < 8; {
				f, err := readLink(r)
				if err != nil {
					t.Fatal(err)
				}
				if f.Type != link.Unit {
					continue
				}
				acked += int(f.Slot-f.ID) + 1
				for seq := f.ID; seq < f.Slot; seq++ {
					if seq%2 == 1 {
						t.Errorf("a UNIT of %d to %d goes on behind the coming of a client", f.ID, f.Slot)
					}
				}
			}
		})
	}
}

type greeter struct{ worker.Handler }

func (*greeter) OnConnect(c *worker.Client) { _ = c.Send(worker.Text("welcome")) }

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(workertest.Patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}
