package gateway_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// peerOf is one loop of another gateway, played by the test.
type peerOf struct {
	*testing.T
	conn net.Conn
}

// dialPeer links to a gateway as another gateway does.
func dialPeer(t *testing.T, g *gateway.Gateway, stream uint64) peerOf {
	t.Helper()
	conn, err := net.Dial("tcp", g.WorkerAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	hello := link.WorkerHello{Role: link.RolePeer, Loop: link.AnyLoop, Window: 1 << 20, Name: "peer"}
	binary.BigEndian.PutUint32(hello.ID[:], 99)
	binary.BigEndian.PutUint64(hello.ID[8:], stream)
	if _, err := link.Connect(conn, nil, hello); err != nil {
		t.Fatal(err)
	}
	return peerOf{t, conn}
}

func (p peerOf) send(f *link.Frame) {
	p.Helper()
	if _, err := p.conn.Write(link.Append(nil, f)); err != nil {
		p.Fatal(err)
	}
}

// relay sends a command with its sequence.
func (p peerOf) relay(sequence uint64, f *link.Frame) {
	p.Helper()
	p.send(&link.Frame{Type: link.Relay, Token: sequence, Payload: link.Append(nil, f)})
}

// next is the next frame that is not a heartbeat.
func (p peerOf) next() (f link.Frame, err error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		b := make([]byte, link.HeaderSize)
		if _, err := io.ReadFull(p.conn, b); err != nil {
			return f, err
		}
		b = append(b, make([]byte, int(binary.BigEndian.Uint32(b))-len(b))...)
		if _, err := io.ReadFull(p.conn, b[link.HeaderSize:]); err != nil {
			return f, err
		}
		if _, err := link.Next(b, link.MaxFrame, &f); err != nil || f.Type != link.Ping && f.Type != link.Pong {
			return f, err
		}
	}
}

// confirms waits for the confirmation of a sequence.
func (p peerOf) confirms(sequence uint64) {
	p.Helper()
	for {
		f, err := p.next()
		if err != nil || f.Type != link.Confirm || f.Token > sequence {
			p.Fatalf("%v %d, %v, where %d was to be confirmed", f.Type, f.Token, err, sequence)
		}
		if f.Token == sequence {
			return
		}
	}
}

func toAll(text string) *link.Frame {
	return &link.Frame{Type: link.Publish, Flags: link.FlagText,
		Payload: append(link.AppendIDs[link.ClientID](link.AppendList[string](nil, nil), nil), text...)}
}

// At the beginning of each link a gateway confirms what it has applied for the other gateway's
// loop, so that a broken link loses nothing. Another stream is counted from the start.
func TestAPeerGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Loops: 2, Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	c := connect(t, g)
	p := dialPeer(t, g, 1)
	p.confirms(0)
	p.relay(1, toAll("one"))
	p.relay(2, toAll("two"))
	c.receives("one")
	c.receives("two")
	p.confirms(2)
	_ = p.conn.Close()
	p = dialPeer(t, g, 1)
	p.confirms(2)
	newer := dialPeer(t, g, 1) // before the end of the other one was noticed
	newer.confirms(2)
	if f, err := p.next(); err == nil {
		t.Errorf("%v by a link that another one has replaced", f.Type)
	}
	newer.relay(5, toAll("five")) // earlier ones are lost, which the other gateway knows
	c.receives("five")
	newer.confirms(5)
	other := dialPeer(t, g, 2)
	other.confirms(0)
	other.relay(1, toAll("again from 1"))
	c.receives("again from 1")
}

// An invalid command is confirmed too, since it would otherwise come again for ever. An invalid
// frame ends the link.
func TestAPeersNonsense(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Loops: 2, Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	c := connect(t, g)
	p := dialPeer(t, g, 1)
	p.confirms(0)
	publish := toAll("x")
	for i, f := range []*link.Frame{
		{Type: link.Send, Code: 2, Payload: []byte("no such loop")},
		{Type: link.Count, Payload: []byte{0, 0}},
		{Type: link.Send, Flags: link.FlagResult},
		{Type: link.Publish, Flags: link.FlagFar, Payload: publish.Payload},
		{Type: link.Publish, Slot: 3, Payload: publish.Payload},
		{Type: link.Evict, Payload: []byte{0, 1}},
		{Type: link.Relay, Payload: link.Append(nil, publish)},
		{Type: link.Unit},
	} {
		p.relay(uint64(i+1), f)
		p.confirms(uint64(i + 1))
	}
	p.relay(9, toAll("still there"))
	c.receives("still there")
	if s := g.Stats(); s.CommandsDropped != 8 {
		t.Errorf("%d commands were counted as lost", s.CommandsDropped)
	}
	for name, f := range map[string]*link.Frame{
		"a sequence again": {Type: link.Relay, Token: 9, Payload: link.Append(nil, publish)},
		"no frame within":  {Type: link.Relay, Token: 10, Payload: []byte("x")},
		"a worker's":       {Type: link.Unit, ID: 1, Slot: 1},
	} {
		p := dialPeer(t, g, 1)
		p.confirms(9)
		p.send(f)
		if f, err := p.next(); err == nil {
			t.Errorf("%s: %v", name, f.Type)
		}
	}
}

// A gateway that cannot be reached by the address that its workers have is reached by the one that
// it advertises.
func TestAdvertise(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"nowhere", "http://host:1"} {
		if _, err := gateway.New(gateway.Config{Advertise: bad,
			Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	g, _ := start(t, gateway.Config{Advertise: "gw.example:2300",
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	conn, err := net.Dial("tcp", g.WorkerAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	hello, err := link.Connect(conn, nil, link.WorkerHello{Role: link.RoleProbe, Loop: link.AnyLoop})
	if err != nil || hello.Advertise != "gw.example:2300" {
		t.Error(fmt.Sprint(hello.Advertise, err))
	}
}

// hearing is a client that receives messages.
type hearing struct{ *fakeClient }

// connect connects a client that a worker has admitted.
func connect(t *testing.T, g *gateway.Gateway) hearing {
	t.Helper()
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	c := dialClient(t, g.Addrs()[0])
	w.letIn()
	return hearing{c}
}

func (c hearing) receives(text string) {
	c.t.Helper()
	if got := c.receive(); got != text {
		c.t.Fatalf("received %q, not %q", got, text)
	}
}
