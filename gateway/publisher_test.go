package gateway_test

import (
	"encoding/binary"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// fakePublisher opens the links of a publisher.
func fakePublisher(t *testing.T, g *gateway.Gateway, id byte) *fakeWorker {
	t.Helper()
	return dialWorker(t, g.WorkerAddr(), nil, link.WorkerHello{Role: link.RolePublisher, ID: [16]byte{id}, Name: "p"})
}

// A publisher is no worker: the gateway is not ready with it alone, and clients wait for a worker.
// Its commands and questions are carried out.
func TestAPublisherGetsNoClients(t *testing.T) {
	t.Parallel()
	g, stop := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}, Loops: 1})
	defer stop()
	p := fakePublisher(t, g, 9)
	wait(t, "the publisher", func() bool { return g.Stats().PublisherLinks == 1 })
	if s := g.Stats(); s.Workers != 0 || s.Links != 0 || g.Readiness() == nil {
		t.Errorf("%d workers, %d links, %v", s.Workers, s.Links, g.Readiness())
	}
	c := dial(t, hostport(g.Addrs()[0]))
	if _, err := c.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	wait(t, "the message", func() bool { return g.Stats().QueuedBytes > 0 })
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	w.letIn()
	if workers, err := g.Control().Workers(t.Context()); err != nil || len(workers) != 1 || workers[0].Name == "p" {
		t.Errorf("%+v, %v", workers, err)
	}
	l := p.links[0]
	l.write(&link.Frame{Type: link.Count, ID: 7, Payload: []byte{0, 0}})
	isReply := func(f *link.Frame) bool { return f.Type == link.Reply && f.ID == 7 }
	wait(t, "the answer", func() bool {
		f, ok := l.takeOne(isReply)

		return ok && binary.BigEndian.Uint32(f.Payload) == 1
	})
	if names := p.pending(); len(names) != 0 {
		t.Errorf("the publisher also got %v", names)
	}
}

// A frame about clients of its own ends the link of a publisher.
func TestAPublisherMayNotHandle(t *testing.T) {
	t.Parallel()
	g, stop := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}, Loops: 1})
	defer stop()
	for i, f := range []link.Frame{
		{Type: link.Unit}, {Type: link.Send, Flags: link.FlagHandled}, {Type: link.Peers, Payload: []byte{0, 0}},
		{Type: link.Authenticates}, {Type: link.Identity}, {Type: link.Drain}, {Type: link.Relay}, {Type: link.Evict},
	} {
		p := fakePublisher(t, g, byte(i+1))
		p.links[0].write(&f)
		wait(t, f.Type.String(), func() bool {
			away, ok := p.links[0].takeOne(func(f *link.Frame) bool { return f.Type == link.GoAway })
			return ok && link.Status(away.Code) == link.Protocol
		})
	}
	wait(t, "the end of the links", func() bool { return g.Stats().PublisherLinks == 0 })
}
