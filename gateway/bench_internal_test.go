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

// EchoUnits appends the replies to all complete frames of in, in units of about 32 KiB as a worker
// writes them. It returns the number of bytes that those frames took.
func EchoUnits(out, in []byte) (answers []byte, taken int) {
	start, unit := len(out), link.Frame{Type: link.Unit}
	seal := func() {
		if unit.ID == 0 {
			out = out[:start]
			return
		}
		link.AppendHeader(out[start:start], &unit, len(out)-start-link.HeaderSize)
		start, unit.ID = len(out), 0
	}
	out = link.Begin(out, &unit)
	for {
		var f link.Frame
		n, err := link.Next(in[taken:], link.MaxFrame, &f)
		if n == 0 || err != nil {
			seal()
			return out, taken
		}
		taken += n
		if f.Type > link.Detach {
			continue
		}
		if unit.Slot = f.ID; unit.ID == 0 {
			unit.ID = f.ID
		}
		if f.Type == link.Message {
			out = link.Append(out, &link.Frame{Type: link.Send, Flags: f.Flags, Slot: f.Slot, Token: f.Token,
				Payload: f.Payload})
		}
		if len(out)-start > 32<<10 {
			seal()
			out = link.Begin(out, &unit)
		}
	}
}
