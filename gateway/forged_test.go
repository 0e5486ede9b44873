package gateway_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A guessed client id, or that of a client that has gone, names no client.
func TestForgedIDs(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{})
	cfg.ID = 4711
	g, stop := start(t, cfg)
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	c := dialClient(t, g.Addrs()[0])
	f := attached(w)
	refused := uint64(0)
	try := func(w *fakeWorker, slot uint32, token uint64) {
		t.Helper()
		for kind, flags := range map[link.Type]uint8{link.Send: link.FlagText, link.Kick: link.FlagLast, link.Join: 0,
			link.Bind: 0} {
			refused++
			w.links[0].write(&link.Frame{Type: kind, Flags: link.FlagResult | flags, ID: uint32(refused), Slot: slot,
				Token: token, Payload: []byte("forged")})
			_, r := w.take("an answer", func(_ int, f *link.Frame) bool {
				return f.Type == link.Reply && f.ID == uint32(refused)
			})
			if link.Status(r.Code) != link.Gone {
				t.Errorf("%v for slot %d is answered %v", kind, slot, link.Status(r.Code))
			}
		}
	}
	for bit := range 64 {
		try(w, f.Slot, f.Token^1<<bit)
	}
	for _, slot := range []uint32{f.Slot + 1, f.Slot ^ 1<<23, 1<<32 - 1} {
		try(w, slot, f.Token)
	}
	w.links[0].write(&link.Frame{Type: link.Send, Flags: link.FlagText, Slot: f.Slot, Token: f.Token,
		Payload: []byte("real")})
	if got := c.receive(); got != "real" {
		t.Errorf("the client receives %q", got)
	}
	_ = c.conn.Close()
	stop()
	again, _ := start(t, cfg) // with the same id
	epoch := w.links[0].hello.Epoch
	w = dialWorker(t, again.WorkerAddr(), nil, oneWorker)
	if w.links[0].hello.Epoch == epoch {
		t.Error("two starts have one epoch")
	}
	c = dialClient(t, again.Addrs()[0])
	now := attached(w)
	if now.Token == f.Token {
		t.Error("a token came twice")
	}
	try(w, f.Slot, f.Token)
	w.links[0].write(&link.Frame{Type: link.Send, Flags: link.FlagText, Slot: now.Slot, Token: now.Token,
		Payload: []byte("real")})
	if got := c.receive(); got != "real" {
		t.Errorf("the new client receives %q", got)
	}
}
