package gateway

import (
	"bytes"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// BenchmarkMessage sends a message of 128 bytes to the worker and its reply back, without a kernel.
// ns/op is the time of the gateway's own code, plus the test's copies and the worker's side. Few
// clients send 16 messages at a time, and the processor's caches hold them all. Of many clients
// each sends one.
func BenchmarkMessage(b *testing.B) {
	b.Run("few", func(b *testing.B) { benchmarkMessage(b, 64, 16) })
	b.Run("many", func(b *testing.B) { benchmarkMessage(b, 8000, 1) })
}

func benchmarkMessage(b *testing.B, clients, each int) {
	g := newGate(b, Config{ID: 1, Loops: 1, Logger: slog.New(slog.DiscardHandler), MaxUnacked: 1 << 20})
	g.lis.codec = codec.Text{MaxMessage: 1 << 20}
	k := newWorkerLink(g.g.loops[0], link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: 4 << 20,
		ID: [16]byte{1}, Name: "w"})
	worker := g.sim.Open(0, netip.AddrPort{}, k,
		engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 16 << 20, Retain: true})
	worker.Limit(16 << 20)
	peers := make([]*enginetest.Peer, clients)
	for i := range peers {
		peers[i] = g.sim.Open(0, netip.AddrPort{}, &session{lis: g.lis}, engine.ConnOptions{MaxOutput: 1 << 20})
	}
	g.sim.Settle()
	said := bytes.Repeat(append(bytes.Repeat([]byte("x"), 127), '\n'), each)
	var answer []byte
	round := func() {
		for _, p := range peers {
			p.Send(said)
			p.Read(1 << 20)
		}
		g.sim.Turn(0)
		answer, _ = EchoUnits(answer[:0], worker.Take())
		worker.Send(answer)
		for worker.Read(1 << 20) {
		}
		g.sim.Turn(0)
		for _, p := range peers {
			p.Take()
		}
	}
	round()
	b.ReportAllocs()
	for n := 0; n < b.N; n += clients * each {
		round()
	}
	if in := g.g.loops[0].stats.MessagesOut; in < uint64(b.N) {
		b.Fatalf("%d messages of %d", in, b.N)
	}
}

// EchoUnits appends the replies to all complete frames of in, as a worker writes them. It returns
// the number of bytes that those frames took.
func EchoUnits(out, in []byte) (answers []byte, taken int) {
	for {
		var f link.Frame
		n, err := link.Next(in[taken:], link.MaxFrame, &f)
		if n == 0 || err != nil {
			return out, taken
		}
		taken += n
		if f.Type == link.Message {
			out = link.Append(out, &link.Frame{Type: link.Send, Flags: f.Flags&link.FlagText | link.FlagHandled, ID: f.ID,
				Slot: f.Slot, Token: f.Token, Payload: f.Payload})
		} else if ack := AckOf(&f); ack != nil {
			out = link.Append(out, ack)
		}
	}
}

// AckOf returns the acknowledgement of an event without effects, or nil if the frame has none.
func AckOf(f *link.Frame) *link.Frame {
	switch {
	case f.Type > link.Detach, f.Type == link.Detach && f.Has(link.FlagMoved):
		return nil
	case f.Type == link.Detach:
		return &link.Frame{Type: link.Unit, Flags: link.FlagLeft, ID: f.ID, Slot: f.Slot, Token: f.Token}
	}
	return &link.Frame{Type: link.Unit, ID: f.ID, Slot: f.Slot, Token: f.Token}
}
