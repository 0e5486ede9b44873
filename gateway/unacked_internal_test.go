package gateway

import (
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A handler that hangs keeps its own message in memory and not all later ones. When its link ends,
// that message and the other unacknowledged ones go to the next worker.
func TestAHangingHandlerKeepsItsMessageOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
		client := func() *enginetest.Peer {
			return g.sim.Open(0, netip.AddrPort{}, &session{lis: g.lis}, engine.ConnOptions{MaxOutput: 1 << 20})
		}
		frame := func(s string) []byte { return codec.Frame{}.Append(nil, []byte(s), false) }
		k, w := openLink(g, 1)
		hangs, busy := client(), client()
		g.sim.Settle()
		hangs.Send(frame("hangs"))
		g.sim.Settle()
		ack := func(skip string) {
			for in := w.Take(); len(in) > 0; {
				var f link.Frame
				n, _ := link.Next(in, link.MaxFrame, &f)
				in = in[n:]
				if string(f.Payload) != skip {
					w.Send(link.Append(nil, AckOf(&f)))
				}
			}
			g.sim.Settle()
		}
		ack("hangs")
		long := frame(strings.Repeat("x", 1000))
		for n := range 20_000 { // 20 MB
			busy.Send(long)
			g.sim.Settle()
			ack("")
			_, out := k.delivery.InFlight()
			if _, _, kept := k.delivery.Figures(); kept > 1<<20+3*out+1<<16 {
				t.Fatalf("after %d messages %d bytes are kept for %d", n, kept, out)
			}
		}
		busy.Send(frame("is out"))
		g.sim.Settle()
		w.HangUp()
		busy.Send(frame("is new"))
		g.sim.Settle()
		if _, _, kept := k.delivery.Figures(); !k.ended || kept > 0 {
			t.Error("a link that has ended keeps something")
		}
		_, w = openLink(g, 2)
		g.sim.Settle()
		expectMessages(t, w, "hangs, redelivered", "is out, redelivered", "is new")
	})
}

// Between the end of a link and its detection, nothing is assigned to it.
func TestNothingGoesToALinkThatHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
		l := g.g.loops[0]
		k, _ := openLink(g, 1)
		s := &session{lis: g.lis}
		g.sim.Open(0, netip.AddrPort{}, s, engine.ConnOptions{MaxOutput: 1 << 20})
		g.sim.Settle()
		if err := l.el.Post(func() {
			k.conn.Close(io.EOF)
			s.forward([]byte("late"), 0)
		}); err != nil {
			t.Fatal(err)
		}
		g.sim.Settle()
		_, w := openLink(g, 2)
		g.sim.Settle()
		expectMessages(t, w, "late")
	})
}

func openLink(g gate, id byte) (*workerLink, *enginetest.Peer) {
	k := newWorkerLink(g.g.loops[0], link.WorkerHello{Role: link.RoleWorker, Window: 4 << 20, ID: [16]byte{id}})
	return k, g.sim.Open(0, netip.AddrPort{}, k,
		engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 8 << 20, Retain: true})
}

// expectMessages reads what a worker was sent.
func expectMessages(t *testing.T, w *enginetest.Peer, want ...string) {
	t.Helper()
	var got []string
	for in := w.Take(); len(in) > 0; {
		var f link.Frame
		n, err := link.Next(in, link.MaxFrame, &f)
		if n == 0 || err != nil {
			t.Fatalf("%v in %q", err, in)
		}
		in = in[n:]
		switch {
		case f.Type != link.Message:
		case f.Has(link.FlagRedelivered):
			got = append(got, string(f.Payload)+", redelivered")
		default:
			got = append(got, string(f.Payload))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the worker gets %q, want %q", got, want)
	}
}
