package gateway

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/link"
)

var (
	_ messageCodec = codec.Text{}
	_ messageCodec = (*codec.WebSocket)(nil)
)

// Without a key, only peers on this machine can use the worker port.
func TestLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:9": true, "127.8.8.8:9": true, "[::1]:9": true, "[::ffff:127.0.0.1]:9": true,
		"10.0.0.1:9": false, "0.0.0.0:9": false, "[::]:9": false, "[fe80::1%eth0]:9": false, "192.168.1.1:9": false,
		"[2001:db8::1]:9": false,
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := loopback(a); got != want {
			t.Errorf("loopback(%s) is %v", addr, got)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	one := func(l ListenerConfig) Config { return Config{Listeners: []ListenerConfig{l}} }
	for want, cfg := range map[string]Config{
		"Config.Listeners:": {},
		"Config.Loops":      {Loops: 256, Listeners: []ListenerConfig{{URL: "text://:0"}}},
		"Config.LinkHeartbeat": {LinkHeartbeat: time.Millisecond,
			Listeners: []ListenerConfig{{URL: "text://:0"}}},
		"between 1 and 65535": {LinkHeartbeat: 65536 * time.Second,
			Listeners: []ListenerConfig{{URL: "text://:0"}}},
		"Config.LinkHeartbeat: 1.5s": {LinkHeartbeat: 1500 * time.Millisecond,
			Listeners: []ListenerConfig{{URL: "text://:0"}}},
		"Config.Name: 201 bytes": {Name: strings.Repeat("n", 201),
			Listeners: []ListenerConfig{{URL: "text://:0"}}},
		"without a scheme: 127.0.0.1:2300": {WorkerAddr: "ws://127.0.0.1:2300",
			Listeners: []ListenerConfig{{URL: "text://:0"}}},
		"write ws://127.0.0.1:80":              one(ListenerConfig{URL: "127.0.0.1:80"}),
		"needs a certificate and its key":      one(ListenerConfig{URL: "wss://127.0.0.1:443/chat"}),
		"over TLS write wss://h:443":           one(ListenerConfig{URL: "https://h:443"}),
		"over TLS write tls+text://h:443":      one(ListenerConfig{URL: "tls://h:443"}),
		"write ws://h:80":                      one(ListenerConfig{URL: "http://h:80"}),
		"write text://h:23":                    one(ListenerConfig{URL: "tcp://h:23"}),
		"for example ws://[::1]:7272":          one(ListenerConfig{URL: "ws://[::1]"}),
		"between 0 and 65535":                  one(ListenerConfig{URL: "ws://h:65536"}),
		"Config.WorkerAddr: \"here\": must be": {WorkerAddr: "here", Listeners: []ListenerConfig{{URL: "text://:0"}}},
		"Config.DrainTimeout: -1s: must be at least 0": {DrainTimeout: -time.Second,
			Listeners: []ListenerConfig{{URL: "text://:0"}}},
		"Config.MaxBuffered: -1":             {MaxBuffered: -1, Listeners: []ListenerConfig{{URL: "text://:0"}}},
		"Listeners[0].URL: \"\" does not":    one(ListenerConfig{}),
		"\"127.0.0.1:80\" does not begin":    one(ListenerConfig{URL: "127.0.0.1:80"}),
		"Listeners[0].HandshakeTimeout: -1":  one(ListenerConfig{URL: "text://h:1", HandshakeTimeout: -time.Second}),
		"Listeners[0].URL: \"text://host\"":  one(ListenerConfig{URL: "text://host"}),
		"\"ftp://h:1\" does not begin":       one(ListenerConfig{URL: "ftp://h:1"}),
		"\"tcp://h:1\" does not begin":       one(ListenerConfig{URL: "tcp://h:1"}),
		"Listeners[0].Codec: \"text://h:1\"": one(ListenerConfig{URL: "text://h:1", Codec: netstring{}}),
		"17 with a Codec": {Listeners: slices.Repeat([]ListenerConfig{{URL: "tcp://:0",
			Codec: netstring{}}}, 17)},
		"ws:// listener has a path or": one(ListenerConfig{URL: "text://h:1/path"}),
		"OnUpgrade: \"json://h:1\": only a ws://": one(ListenerConfig{URL: "json://h:1",
			OnUpgrade: func(context.Context, *http.Request) (Identity, error) { return Identity{}, nil }}),
		"Listeners[0].MaxMessage":            one(ListenerConfig{URL: "text://h:1", MaxMessage: link.MaxMessage + 1}),
		"MaxRequest: -1: must be at least 0": one(ListenerConfig{URL: "ws://h:1", MaxRequest: -1}),
		"Listeners[0].KeepHeaders: \"a b\"":  one(ListenerConfig{URL: "ws://h:1", KeepHeaders: []string{"a b"}}),
		"\"upgrade\" is about the":           one(ListenerConfig{URL: "ws://h:1", KeepHeaders: []string{"upgrade"}}),
		"Listeners[0].Origins: \"http://a/b": one(ListenerConfig{URL: "ws://h:1",
			Origins: []string{"*", "https://a.example:1/", "*.b", "http://a/b"}}),
		"Listeners[0].Origins: \"http://a//":    one(ListenerConfig{URL: "ws://h:1", Origins: []string{"http://a//"}}),
		"no option \"sub\", only":               one(ListenerConfig{URL: "ws://h:1/chat?sub=a"}),
		"Subprotocols: \"\" is not the name":    one(ListenerConfig{URL: "ws://h:1?subprotocol="}),
		"Subprotocols: \"a b\" is not the name": one(ListenerConfig{URL: "ws://h:1", Subprotocols: []string{"a b"}}),
		"Subprotocols: \"a\" is there twice":    one(ListenerConfig{URL: "ws://h:1?subprotocol=a,b&subprotocol=a"}),
		"text://h:1?subprotocol=a\": only":      one(ListenerConfig{URL: "text://h:1?subprotocol=a"}),
		"Listeners[0].Origins: \"\"":            one(ListenerConfig{URL: "ws://h:1", Origins: []string{""}}),
		"Listeners[0].Hosts: \"https://h\"":     one(ListenerConfig{URL: "ws://h:1", Hosts: []string{"https://h"}}),
		"Listeners[0].MaxMissedPings":           one(ListenerConfig{URL: "text://h:1", MaxMissedPings: 256}),
	} {
		err := cfg.setDefaults()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg.Listeners, err, want)
		}
		if bad, ok := errors.AsType[*ConfigError](err); !ok ||
			!strings.HasPrefix(err.Error(), "gateway: Config."+bad.Field+": ") {
			t.Errorf("%v is no ConfigError that names its field", err)
		}
	}
	given := one(ListenerConfig{URL: "text://127.0.0.1:0"})
	cfg := given
	if err := cfg.setDefaults(); err != nil || given.Listeners[0].MaxMessage != 0 || cfg.Listeners[0].MaxMessage == 0 {
		t.Errorf("%v: the caller's %+v became %+v", err, given.Listeners[0], cfg.Listeners[0])
	}
}

// A command that is truncated anywhere is detected before anything is executed.
func TestCheck(t *testing.T) {
	t.Parallel()
	g := &Gateway{loops: make([]*loop, 2)}
	list := link.AppendList(nil, []string{"a", "bc"})
	set := link.AppendAttributes([]byte{0, 0, 0, 0}, []link.Attribute{{Key: "k", Value: "value"}, {Key: "l", Value: "w"}})
	publish := link.AppendIDs(bytes.Clone(list), make([]link.ClientID, 2))
	query := append(make([]byte, 13), list...)
	for _, f := range []link.Frame{
		{Type: link.Set, Payload: set},
		{Type: link.Publish, Code: link.TargetGroups, Payload: publish},
		{Type: link.Count, Code: link.TargetUIDs, Payload: list},
		{Type: link.Select, Code: link.TargetUIDs, Payload: query},
	} {
		if err := g.check(&f); err != nil {
			t.Errorf("%v: %v", f.Type, err)
		}
		for n := range f.Payload {
			cut := f
			cut.Payload = f.Payload[:n]
			if g.check(&cut) == nil {
				t.Errorf("%v cut to %d of %d bytes passes", f.Type, n, len(f.Payload))
			}
			unit := link.Append(link.Append(nil, &link.Frame{Type: link.Send}), &cut)
			if g.checkUnit(unit) == nil {
				t.Errorf("a unit with %v cut to %d bytes passes", f.Type, n)
			}
		}
	}
	for _, f := range []link.Frame{
		{Type: link.Unit}, {Type: link.Ping}, {Type: link.Attach}, {Type: 99},
		{Type: link.Send, Code: 2}, {Type: link.Publish, Code: 4, Payload: publish},
		{Type: link.Count, Code: 9, Payload: list},
		{Type: link.Select, Code: link.TargetUIDs, Payload: append([]byte{0, 0, 0, 0, 0, 2}, query[6:]...)},
	} {
		if g.check(&f) == nil {
			t.Errorf("%v with code %d passes", f.Type, f.Code)
		}
	}
	whole := link.Append(nil, &link.Frame{Type: link.Send, Payload: []byte("hello")})
	for n := 1; n < len(whole); n++ {
		if g.checkUnit(whole[:n]) == nil {
			t.Errorf("a unit cut at %d passes", n)
		}
	}
}

// A frame with extra bytes after its payload, with a flag that its type does not have, or with an
// invalid payload, ends the link.
func TestFramesAreWhatTheSpecSays(t *testing.T) {
	t.Parallel()
	list := func(keys ...string) []byte { return link.AppendList(nil, keys) }
	client := string(make([]byte, 16))
	long := strings.Repeat("n", link.MaxKey+1)
	set := func(key string) []byte {
		return link.AppendAttributes(make([]byte, 4), []link.Attribute{{Key: key, Value: "v"}})
	}
	query := func(fields byte, keys ...string) []byte {
		return append(append([]byte{fields}, make([]byte, 12)...), list(keys...)...)
	}
	evict := func(uid string) []byte { return link.AppendEvict(nil, []byte(uid), link.Claim{}) }
	publish := func(keys ...string) []byte {
		return append(link.AppendIDs(list(keys...), make([]link.ClientID, 1)), "hi"...)
	}
	const all, uids, clients = link.TargetAll, link.TargetUIDs, link.TargetClients
	for _, c := range []struct {
		typ     link.Type
		code    uint16
		flags   uint8  // all allowed flags except LATEST
		payload []byte // that is valid
		open    bool   // ends in bytes of any number
		wrong   [][]byte
	}{
		{typ: link.Unit, flags: 0x06, open: true},
		{typ: link.Relay, open: true},
		{typ: link.Peers, payload: link.AppendPeers(nil, []link.Peer{{ID: 9, Addr: "a:1"}})},
		{typ: link.GoAway, payload: []byte("why"), open: true},
		{typ: link.Ping}, {typ: link.Pong}, {typ: link.Drain},
		{typ: link.Authenticates}, {typ: link.Identity, open: true},
		{typ: link.Send, flags: 0xB9, payload: []byte("hi"), open: true},
		{typ: link.Kick, flags: 0x8D, wrong: [][]byte{[]byte("words without LAST")}},
		{typ: link.Kick, flags: 0x8F, payload: []byte("bye"), open: true},
		{typ: link.Bind, flags: 0x83, payload: []byte("\x00\x00\x00\x01u"), open: true,
			wrong: [][]byte{nil, make([]byte, 4), []byte("0000" + long)}},
		{typ: link.Unbind, flags: 0x81, payload: make([]byte, 4), wrong: [][]byte{nil}},
		{typ: link.Join, flags: 0x80, payload: []byte(long[1:]), wrong: [][]byte{nil}},
		{typ: link.Leave, flags: 0x80, payload: []byte("g"), open: true, wrong: [][]byte{nil, []byte(long)}},
		{typ: link.Dissolve, flags: 0x84, payload: []byte("g"), open: true, wrong: [][]byte{nil, []byte(long)}},
		{typ: link.Set, flags: 0x87, payload: set("k"), wrong: [][]byte{set("")}},
		{typ: link.Publish, code: all, flags: 0xBD, payload: publish(), open: true, wrong: [][]byte{publish("g")}},
		{typ: link.Publish, code: clients, flags: 0xBD, payload: publish(client), open: true,
			wrong: [][]byte{publish("g"), publish(client, "")}},
		{typ: link.Publish, code: 4, wrong: [][]byte{publish("g")}},
		{typ: link.Evict, payload: evict("u"), wrong: [][]byte{evict("")}},
		{typ: link.Count, code: all, flags: 0x80, payload: list(), wrong: [][]byte{list("u")}},
		{typ: link.Count, code: clients, flags: 0x80, payload: list(client, client), wrong: [][]byte{list(client[1:])}},
		{typ: link.Select, code: uids, flags: 0x80, payload: query(7, "u"), wrong: [][]byte{query(7, ""), query(0x80, "u")}},
		{typ: link.Select, code: all, flags: 0x80, payload: query(0x10),
			wrong: [][]byte{query(0x11), query(0x30), query(0x21)}},
	} {
		fits := func(flags uint8, payload []byte) bool {
			return wellFormed(&link.Frame{Type: c.typ, Code: c.code, Flags: flags, Payload: payload}) == nil
		}
		last := c.flags & link.FlagLast
		if c.typ != link.Kick {
			last = 0
		}
		if c.code <= clients && (!fits(last, c.payload) || !fits(c.flags, c.payload)) {
			t.Errorf("%v: refused", c.typ)
		}
		if more := append(bytes.Clone(c.payload), 0); fits(last, more) != c.open {
			t.Errorf("%v of target %d: a byte behind it passes: %v", c.typ, c.code, !c.open)
		}
		for bit := range 8 {
			flag := uint8(1) << bit
			if latest := flag == link.FlagLatest && (c.typ == link.Send || c.typ == link.Publish); latest || c.flags&flag != 0 {
				continue
			}
			if c.typ == link.Kick && flag == link.FlagLast {
				continue
			}
			if fits(last|flag, c.payload) {
				t.Errorf("%v with flag %#x passes", c.typ, flag)
			}
		}
		for _, payload := range c.wrong {
			if fits(last, payload) {
				t.Errorf("%v of target %d: %.40x passes", c.typ, c.code, payload)
			}
		}
	}
}

// netstring is a Codec that is never called.
type netstring struct{ Codec }
