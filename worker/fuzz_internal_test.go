package worker

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// recorded is a connection from which all data arrives in two pieces before it ends. What is
// written to it is parsed.
type recorded struct {
	pieces [][]byte
	wrote  []byte
}

func (r *recorded) Read(b []byte) (int, error) {
	for len(r.pieces) > 0 {
		n := copy(b, r.pieces[0])
		if r.pieces[0] = r.pieces[0][n:]; len(r.pieces[0]) == 0 {
			r.pieces = r.pieces[1:]
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

func (r *recorded) Write(b []byte) (int, error) {
	r.wrote = append(r.wrote, b...)
	return len(b), nil
}

func (*recorded) Close() error                     { return nil }
func (*recorded) LocalAddr() net.Addr              { return nil }
func (*recorded) RemoteAddr() net.Addr             { return nil }
func (*recorded) SetDeadline(time.Time) error      { return nil }
func (*recorded) SetReadDeadline(time.Time) error  { return nil }
func (*recorded) SetWriteDeadline(time.Time) error { return nil }

// For any data from a gateway, in any pieces, the worker does not panic, acknowledges each frame
// once and in order, and sends complete frames.
func FuzzGateway(f *testing.F) {
	cfg := Config{Gateways: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler)}
	w, err := New(cfg, Handler{Message: func(_ context.Context, c Call, m Message) error {
		c.Send(m)
		c.Join("group")
		if r := c.Request(); r != nil {
			_ = r.Query("a") + r.Header("b") + r.Cookie("c") + r.Path()
		}
		return nil
	}})
	if err != nil {
		f.Fatal(err)
	}
	close(w.late)
	attachment := link.AppendAttachment(nil, &link.Attachment{
		Remote: "r", Listener: "l", Target: "/x?a=1", Headers: []link.Header{{Name: "Cookie", Value: "c=d"}},
	})
	attach := link.Append(nil,
		&link.Frame{Type: link.Attach, Flags: link.FlagNew, ID: 1, Slot: 2, Token: 3, Payload: attachment})
	whole := link.Append(attach, &link.Frame{Type: link.Message, ID: 2, Slot: 2, Token: 3, Payload: []byte("hello")})
	whole = link.Append(whole,
		&link.Frame{Type: link.Attrs, Slot: 2, Token: 3, Payload: []byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0}})
	f.Add(link.Append(whole, &link.Frame{Type: link.Detach, ID: 3, Slot: 2, Token: 3}), uint16(40))
	f.Add(link.Append(nil, &link.Frame{Type: link.Reply, ID: 1}), uint16(0))
	f.Add(link.Append(nil, &link.Frame{Type: link.Ping, ID: 1}), uint16(1))
	// No worker has so many slots.
	f.Add(link.Append(nil, &link.Frame{Type: link.Attach, ID: 1, Slot: 1<<32 - 1, Payload: attachment}), uint16(0))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		if farSlot(in) {
			t.Skip("it is allowed, and takes its time")
		}
		at := min(int(cut), len(in))
		conn := &recorded{pieces: [][]byte{in[:at], in[at:]}}
		l := newLink(w, conn, "", link.GatewayHello{ID: 1, Loops: 1, MaxFrame: 1 << 16})
		l.in.buf = make([]byte, 64) // small, so that it grows
		w.routes.set(l)
		w.exec.Lead(l)
		<-l.done
		if n := w.Stats().Panics; n > 0 {
			t.Fatalf("%d panics", n)
		}
		for out := conn.wrote; len(out) > 0; {
			var frame link.Frame
			n, err := link.Next(out, link.MaxFrame, &frame)
			if n == 0 || err != nil {
				t.Fatalf("no frame: %x", out)
			}
			out = out[n:]
		}
	})
}

// farSlot reports whether a client gets a slot so high that the table of slots becomes large.
func farSlot(in []byte) bool {
	for {
		var f link.Frame
		n, err := link.Next(in, 1<<16, &f)
		if n == 0 || err != nil {
			return false
		}
		if f.Type == link.Attach && f.Slot > 1<<12 && f.Slot < link.MaxSlots {
			return true
		}
		in = in[n:]
	}
}
