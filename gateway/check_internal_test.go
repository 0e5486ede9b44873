package gateway

import (
	"bytes"
	"hash/maphash"
	"testing"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// Whatever a worker sends, check sees to it that carrying it out reads nothing that is not there, and the message that a client gets is the payload's end.
func FuzzCheck(f *testing.F) {
	publish := link.AppendIDs(link.AppendList(nil, []string{"room"}), []link.ClientID{{1}})
	keyed := append(link.AppendBytes(nil, "price"), "12"...)
	f.Add(byte(link.Send), byte(link.FlagText), uint16(0), []byte("hi"))
	f.Add(byte(link.Send), byte(link.FlagLatest|0x10), uint16(0), keyed)
	f.Add(byte(link.Send), byte(link.FlagLatest), uint16(0), []byte{0, 9, 'c', 'u', 't'})
	f.Add(byte(link.Publish), byte(0x30), uint16(link.TargetGroups), append(bytes.Clone(publish), "hi"...))
	f.Add(byte(link.Publish), byte(link.FlagLatest|0x20), uint16(link.TargetAll), append(bytes.Clone(publish), keyed...))
	f.Add(byte(link.Publish), byte(link.FlagLatest), uint16(link.TargetAll), publish)
	f.Add(byte(link.Relay), byte(0), uint16(0), link.Append(nil, &link.Frame{Type: link.Send, Flags: link.FlagLatest, Payload: keyed}))
	f.Fuzz(func(t *testing.T, typ, flags byte, code uint16, payload []byte) {
		g := &Gateway{loops: make([]*loop, 1), keys: maphash.MakeSeed()}
		frame := link.Frame{Type: link.Type(typ), Flags: flags, Code: code, Payload: payload}
		if g.check(&frame) != nil {
			return
		}
		var p fanout
		switch frame.Type {
		case link.Publish:
			p.parse(g, &frame)
		case link.Send:
			p.class, p.message = g.sendOptionsOf(flags, payload)
			if c := link.Read(payload); flags&link.FlagLatest != 0 && (len(c.Bytes()) > len(payload) || c.Bad()) {
				t.Fatalf("a key that is cut has passed: %x", payload)
			}
		default:
			return
		}
		if !bytes.HasSuffix(payload, p.message) || frame.Type == link.Send && flags&link.FlagLatest == 0 && len(p.message) != len(payload) {
			t.Fatalf("the message is %x of %x", p.message, payload)
		}
		if (p.class.ConflateKey != 0) != (flags&link.FlagLatest != 0) || p.class.Overflow > engine.DropNewest {
			t.Fatalf("class %+v of flags %x", p.class, flags)
		}
	})
}

// What the link says of slow clients is what the engine does.
func TestClassOf(t *testing.T) {
	t.Parallel()
	g := &Gateway{keys: maphash.MakeSeed()}
	for flags, want := range map[uint8]engine.Overflow{
		0x00: 0, 0x10: engine.CloseSlow, 0x20: engine.DropOldest, 0x30: engine.DropNewest,
	} {
		if class, message := g.sendOptionsOf(flags|link.FlagText, []byte("hi")); class != (engine.SendOptions{Overflow: want}) || string(message) != "hi" {
			t.Errorf("flags %x: %+v %q", flags, class, message)
		}
	}
	a, message := g.sendOptionsOf(link.FlagLatest, append(link.AppendBytes(nil, "a"), "hi"...))
	b, _ := g.sendOptionsOf(link.FlagLatest, append(link.AppendBytes(nil, "b"), "hi"...))
	again, _ := g.sendOptionsOf(link.FlagLatest, link.AppendBytes(nil, "a"))
	if string(message) != "hi" || a.ConflateKey == 0 || a.ConflateKey == b.ConflateKey || a != again {
		t.Errorf("%q, %+v, %+v, %+v", message, a, b, again)
	}
}
