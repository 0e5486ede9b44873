package link

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata")

var (
	anID    = MakeClientID(7, 3, 0x010203, 0xA1A2A3A4A5A6A7A8)
	other   = MakeClientID(8, 0, 9, 1)
	someone = []Attribute{{"name", "Ann"}, {"empty", ""}, {"ключ", "значение"}}
)

type golden struct {
	name  string
	frame Frame
}

// goldens returns each frame type at least once, in the order of SPEC.md.
func goldens() []golden {
	attach := Attachment{
		Version: 5, UIDVersion: 2, Remote: "192.0.2.1:4711", Listener: "ws://:7272/chat", UID: "ann",
		Target:  "/chat?room=1",
		Headers: []Header{{"Host", "example.org"}, {"Cookie", "a=b"}}, Attrs: someone,
	}
	version := []byte{0, 0, 0, 5}
	targets := func(names ...string) []byte { return AppendList(nil, names) }
	join := Append(nil, &Frame{Type: Join, Code: 3, Slot: 0x010203, Token: 42, Payload: []byte("room 1")})
	query := []byte{FieldUID | FieldGroups | FieldAttrs, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 9}
	row := AppendAttributes(append(AppendList(AppendBytes(append([]byte{0, 0, 0, 0, 0, 0, 0, 12}, anID[:]...), "ann"),
		[]string{"room 1"}), version...), someone)
	const slot, token = 0x010203, 0xA1A2A3A4A5A6A7A8
	return []golden{
		{"new client", Frame{Type: Attach, Flags: FlagNew, Code: 5, Slot: slot, Token: token,
			Payload: AppendAttachment(nil, &attach)}},
		{"moved client, of which 17 messages were handled", Frame{Type: Attach, ID: 17, Slot: 4, Token: 1,
			Payload: AppendAttachment(nil, &Attachment{Cause: CauseMoved, Redelivered: 3})}},
		{"text", Frame{Type: Message, Flags: FlagText, Code: 5, ID: 3, Slot: slot, Token: token, Payload: []byte("hello")}},
		{"empty, binary, redelivered, number wrapped", Frame{Type: Message, Flags: FlagRedelivered, ID: 0, Slot: slot,
			Token: token}},
		{"gone", Frame{Type: Detach, Code: uint16(ReasonPeer), ID: 4, Slot: slot, Token: token}},
		{"moved away", Frame{Type: Detach, Flags: FlagMoved, ID: 0xFFFFFFFF, Slot: slot, Token: token}},
		{"changed by another", Frame{Type: Attrs, Slot: slot, Token: token,
			Payload: AppendAttributes(AppendBytes(append(slices.Clone(version), 0, 0, 0, 2), "ann"), someone)}},
		{"conflict", Frame{Type: Reply, Code: uint16(Conflict), ID: 77,
			Payload: AppendAttributes(slices.Clone(version), someone)}},
		{"rows, and where more begin", Frame{Type: Reply, ID: 78, Payload: row}},
		{"a count that one loop has not answered",
			Frame{Type: Reply, Flags: FlagPartial, ID: 81, Payload: []byte{0, 0, 0, 7, 0, 0, 0, 0}}},
		{"who is this", Frame{Type: Authenticate, ID: 9, Payload: AppendQuestion(nil, Question{10 * time.Second,
			string(AppendRequest(nil, "/chat?room=1", []Header{{RemoteHeader, "192.0.2.1:4711"}, {"Cookie", "a=b"}}))})}},
		{"acknowledgement with a join", Frame{Type: Unit, ID: 3, Slot: slot, Token: token, Payload: join}},
		{"acknowledgement of a disconnect alone", Frame{Type: Unit, Flags: FlagLeft, ID: 6, Slot: slot, Token: token}},
		{"join, for another gateway", Frame{Type: Relay, Slot: 8, Payload: join}},
		{"join, from another gateway", Frame{Type: Relay, Token: 18, Payload: join}},
		{"two gateways", Frame{Type: Peers, Payload: AppendPeers(nil, []Peer{{7, "10.0.0.1:2300"}, {8, "[::1]:2301"}})}},
		{"raw, with result", Frame{
			Type: Send, Flags: FlagText | FlagRaw | FlagResult, Code: 3, ID: 79, Slot: slot, Token: token,
			Payload: []byte("hi"),
		}},
		{"answer that is a unit", Frame{
			Type: Send, Flags: FlagText | FlagHandled, Code: 3, ID: 3, Slot: slot, Token: token, Payload: []byte("hi"),
		}},
		{"handler", Frame{Type: Blocked, Slot: slot, Token: token}},
		{"dropped when there is no room", Frame{
			Type: Send, Flags: FlagText | 0x30, Code: 3, Slot: slot, Token: token,
			Payload: []byte("hi"),
		}},
		{"the latest of a key", Frame{
			Type: Send, Flags: FlagText | FlagLatest | 0x20, Code: 3, Slot: slot, Token: token,
			Payload: append(AppendBytes(nil, "price"), "12"...),
		}},
		{"with a last message", Frame{
			Type: Kick, Flags: FlagText | FlagLast, Code: 3, Slot: slot, Token: token,
			Payload: []byte("bye"),
		}},
		{"at once", Frame{Type: Kick, Flags: FlagNow, Code: 3, Slot: slot, Token: token}},
		{"newest wins", Frame{Type: Bind, Flags: FlagExclusive, Code: 3, Slot: slot, Token: token,
			Payload: append(slices.Clone(version), "ann"...)}},
		{"", Frame{Type: Unbind, Code: 3, Slot: slot, Token: token, Payload: version}},
		{"unicode", Frame{Type: Join, Code: 3, Slot: slot, Token: token, Payload: []byte("комната")}},
		{"", Frame{Type: Leave, Code: 3, Slot: slot, Token: token, Payload: []byte("room 1")}},
		{"merge if unchanged", Frame{Type: Set, Flags: FlagMerge | FlagCompare | FlagResult, Code: 3, ID: 80, Slot: slot,
			Token:   token,
			Payload: AppendAttributes(slices.Clone(version), someone)}},
		{"to all but one", Frame{
			Type: Publish, Flags: FlagText,
			Payload: append(AppendIDs(targets(), []ClientID{anID}), "all"...),
		}},
		{"to groups", Frame{
			Type: Publish, Code: TargetGroups,
			Payload: append(AppendIDs(targets("room 1", "room 2"), []ClientID{anID, other}), 0xFF),
		}},
		{"to all, the latest of a key or the end", Frame{
			Type: Publish, Flags: FlagLatest | 0x10,
			Payload: append(AppendBytes(AppendIDs[ClientID](targets(), nil), "price"), 12),
		}},
		{"to clients", Frame{
			Type: Publish, Code: TargetClients,
			Payload: append(AppendIDs[ClientID](targets(string(anID[:])), nil), "you"...),
		}},
		{"share of one loop", Frame{Type: Publish, Slot: 4, Payload: append(AppendIDs[ClientID](targets(), nil), "all"...)}},
		{"at all gateways", Frame{Type: Dissolve, Flags: FlagFar, Payload: []byte("room 1")}},
		{"", Frame{Type: Evict, Payload: AppendEvict(nil, "ann", Claim{0x0102030405060708, anID})}},
		{"of groups", Frame{Type: Count, Code: TargetGroups, ID: 81, Payload: targets("room 1", "room 2")}},
		{"of a group", Frame{Type: Select, Code: TargetGroups, ID: 82, Payload: append(query, targets("room 1")...)}},
		{"", Frame{Type: Invoke, ID: 84, Payload: []byte("question")}},
		{"figures", Frame{Type: Report, ID: 85, Payload: []byte("any bytes")}},
		{"of a function that has failed", Frame{Type: Reply, Code: uint16(Failed), ID: 84, Payload: []byte("why")}},
		{"", Frame{Type: Authenticates}},
		{"ann, until 2026", Frame{Type: Identity, ID: 9,
			Payload: AppendKnown(nil, &Known{time.UnixMilli(1767225600000), "ann", someone})}},
		{"refused", Frame{Type: Identity, ID: 9, Code: 401, Payload: []byte("a token is needed")}},
		{"", Frame{Type: Ping, ID: 83}},
		{"", Frame{Type: Pong, ID: 83}},
		{"", Frame{Type: Drain}},
		{"", Frame{Type: Confirm, Token: 18}},
		{"two sets", Frame{Type: Locate, ID: 85, Payload: AppendSet(AppendSet(nil, SetGroup, "room 1"), SetUID, "ann")}},
		{"of which gateways 7 and 8 hold the first", Frame{Type: Reply, ID: 85,
			Payload: AppendHolders(AppendHolders([]byte{0, 0, 0, 0, 0, 0, 0, 6}, []uint32{7, 8}), nil)}},
		{"", Frame{Type: Ask, ID: 1234}},
		{"", Frame{Type: Permit, ID: 1234, Token: 6}},
		{"nothing is permitted", Frame{Type: Permit, ID: 1235}},
		{"a set", Frame{Type: Forget, ID: 1, Payload: AppendSet(nil, SetGroup, "room 1")}},
		{"the permit", Frame{Type: Forget, ID: 2}},
		{"", Frame{Type: Forgotten, ID: 2}},
		{"effects before the end of a call", Frame{Type: Unit, Flags: FlagEarly, Slot: slot, Token: token, Payload: join}},
		{"", Frame{Type: GoAway, Code: uint16(NoHeartbeat), Payload: []byte("nothing heard")}},
	}
}

// The bytes of all frames are those in testdata.
func TestGoldenFrames(t *testing.T) {
	t.Parallel()
	seen := map[Type]bool{}
	var text strings.Builder
	for _, g := range goldens() {
		seen[g.frame.Type] = true
		wire := Append(nil, &g.frame)
		fmt.Fprintf(&text, "# %v %s\n%s\n", g.frame.Type, g.name, dump(wire))
		var f Frame
		if n, err := Next(wire, MaxFrame, &f); n != len(wire) || err != nil {
			t.Errorf("%v %s: %d of %d bytes, %v", g.frame.Type, g.name, n, len(wire), err)
		}
		g.frame.Payload = append([]byte{}, g.frame.Payload...)
		if !reflect.DeepEqual(f, g.frame) {
			t.Errorf("%v %s: read %+v, wrote %+v", g.frame.Type, g.name, f, g.frame)
		}
	}
	for i, name := range typeNames {
		if name != "" && !seen[Type(i)] {
			t.Errorf("no golden frame of type %s", name)
		}
	}
	compare(t, "testdata/frames.txt", text.String())
}

// The bytes of the opening with fixed nonces are those in testdata.
func TestGoldenHello(t *testing.T) {
	t.Parallel()
	worker := WorkerHello{Role: RoleWorker, Loop: 1, Weight: 2, Window: 1 << 20, ID: [16]byte{15: 1}, Name: "worker",
		Build: "v1"}
	gateway := GatewayHello{ID: 7, Epoch: 3, Loops: 4, Loop: 1, MaxFrame: MaxFrame, Heartbeat: 5 * time.Second,
		Invokes: true, Reports: true, Blocks: true, Name: "gateway", Advertise: "gw:2300"}
	up, down := &tape{}, &tape{}
	g, w := ended(t, "secret", up, down, worker, gateway)
	if g.err != nil || w.err != nil {
		t.Fatalf("gateway: %v, worker: %v", g.err, w.err)
	}
	if g.hello != worker || w.hello != gateway {
		t.Errorf("gateway heard %+v, worker heard %+v", g.hello, w.hello)
	}
	var text strings.Builder
	for i, m := range [][]byte{up.message(0), down.message(0), up.message(1), down.message(1)} {
		fmt.Fprintf(&text, "# message %d\n%s\n", i+1, dump(m))
	}
	compare(t, "testdata/hello.txt", text.String())
}

// dump returns hex, 32 bytes a line.
func dump(b []byte) string {
	var lines []string
	for part := range slices.Chunk(b, 32) {
		lines = append(lines, hex.EncodeToString(part))
	}
	return strings.Join(lines, "\n") + "\n"
}

func compare(t *testing.T, file, text string) {
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(text)) {
		t.Errorf("%s differs; if the protocol was meant to change, run with -update. Now:\n%s", file, text)
	}
}

// Each part of a payload reads back as it was written.
func TestPartsReadBack(t *testing.T) {
	t.Parallel()
	want := Attachment{
		Version: 9, Redelivered: 2, Cause: CauseDied, Remote: "r", Listener: "l", UID: "u", Target: "/t",
		Headers: []Header{{"a", "b"}, {"", ""}}, Attrs: someone,
	}
	for name, b := range map[string][]byte{
		"from fields": AppendAttachment(nil, &want),
		"request kept": AppendAttachment(nil, &Attachment{Version: 9, Redelivered: 2, Cause: CauseDied,
			Remote: "r", Listener: "l", UID: "u", Request: string(AppendRequest(nil, "/t", want.Headers)), Attrs: someone}),
	} {
		c := Read(b)
		got := c.Attachment()
		for name, value := range RequestHeaders(got.Request) {
			got.Headers = append(got.Headers, Header{name, value})
		}
		got.Request = ""
		if c.Bad() || len(c.Rest()) > 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, bad %v", name, got, c.Bad())
		}
		for cut := range b {
			c := Read(b[:cut])
			if c.Attachment(); !c.Bad() {
				t.Errorf("%s: cut at %d of %d is taken for whole", name, cut, len(b))
			}
		}
	}
}

// A count that the bytes cannot contain is refused before memory is allocated for it.
func TestPartsBelieveNoCount(t *testing.T) {
	b := bytes.Repeat([]byte{0xFF}, 8)
	bad := 0
	if n := testing.AllocsPerRun(10, func() {
		attributes, name, attachment := Read(b), Read(b), Read(b)
		attributes.Attributes()
		name.Bytes()
		attachment.Attachment()
		if attributes.Bad() && name.Bad() && attachment.Bad() {
			bad++
		}
	}); n > 0 || bad != 11 {
		t.Errorf("%v allocations for lies, seen through %d of 11 times", n, bad)
	}
}
