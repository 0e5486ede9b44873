package gateway_test

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// Commands that another loop cannot execute as fast as they come wait in bounded queues: their link
// is not read meanwhile, other links are, and nothing is lost or reordered.
func TestALinkThatPressesAnotherLoop(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]uint8{"send": 0, "with a result": link.FlagResult} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testPress(t, flags)
		})
	}
}

// blocking is a Codec that blocks its loop at the first byte, until the test releases it.
type blocking func()

func (b blocking) Decode([]byte) (payload []byte, text bool, n int, err error) {
	b()
	return nil, false, 0, io.EOF
}

func (b blocking) Append(dst, _ []byte, _ bool) []byte { return dst }

func testPress(t *testing.T, flags uint8) {
	stuck, release := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let() // also when the test fails
	g, _ := start(t, gateway.Config{Loops: 2, Listeners: []gateway.ListenerConfig{
		{URL: "text://127.0.0.1:0", MaxOutput: 64 << 20},
		{URL: "tcp://127.0.0.1:0", Codec: blocking(func() { close(stuck); <-release })},
	}})
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return workerLinks(g) == 2 })
	alice := dialClient(t, g.Addrs()[0])
	loop, f := w.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
	bob := dialClient(t, g.Addrs()[0])
	other, fb := w.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
	if other == loop {
		t.Fatal("both clients are on one loop")
	}
	if loop != 0 { // the third connection goes to loop 0
		t.Fatal("alice is on loop 1")
	}
	blocker := dial(t, hostport(g.Addrs()[1]))
	if _, err := blocker.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-stuck

	const count, size = 30, 1 << 20
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range count {
			m := bytes.Repeat([]byte{byte('A' + i)}, size)
			m[size-1] = 'z'
			w.links[other].write(&link.Frame{
				Type: link.Publish, Code: link.TargetClients, Flags: link.FlagText | flags, ID: uint32(i + 1),
				Payload: append(link.AppendIDs[link.ClientID](link.AppendList(nil, []string{id(w, loop, f)}), nil), m...),
			})
		}
	}()
	wait(t, "the link being paused", func() bool {
		for _, s := range g.Stats().Loops {
			if s.InboxBackpressure > 0 {
				return true
			}
		}
		return false
	})
	let()
	for i := range count {
		if got := alice.receive(); len(got) != size || got[0] != byte('A'+i) || got[size-1] != 'z' {
			t.Fatalf("message %d is %d bytes of %q", i, len(got), got[:1])
		}
	}
	<-written
	w.links[other].write(&link.Frame{Type: link.Send, Flags: link.FlagText, Code: uint16(other), Slot: fb.Slot,
		Token: fb.Token, Payload: []byte("done")})
	if got := bob.receive(); got != "done" {
		t.Errorf("bob receives %q", got)
	}
	for i := range count {
		if flags != 0 {
			w.take("answer", func(_ int, f *link.Frame) bool { return f.Type == link.Reply && f.ID == uint32(i+1) })
		}
	}
}

func id(w *fakeWorker, loop int, f link.Frame) string {
	id := link.MakeClientID(w.links[0].hello.ID, uint8(loop), f.Slot, f.Token)
	return string(id[:])
}
